"""Peak memory of restoring one 1024×768 photograph ×2 with the full CISR-PSI, untiled, on the CPU.

    python benchmarks/memory/cisr_psi.py           a few minutes on two cores

The weights are random: memory and time do not depend on their values. The photograph is scikit-image's
astronaut, resized and compressed as JPEG 10.
"""

from __future__ import annotations

import io
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models import CISRPSI, build_generator, count_parameters

WIDTH, HEIGHT, SCALE = 1024, 768, 2


def main() -> None:
    model = build_generator({"type": "cisr_psi", "scale": SCALE}).eval()
    assert isinstance(model, CISRPSI)
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", quality=10)
    with Image.open(buffer) as image:
        lr = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    loaded = peak_gib()
    start = time.perf_counter()
    with torch.inference_mode():
        sr = (model(lr)[0] * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    seconds = time.perf_counter() - start
    print(f"CISR-PSI ×{SCALE}, {count_parameters(model):,} parameters, {model.options.steps} steps")
    sizes = f"{WIDTH}×{HEIGHT} → {sr.shape[1]}×{sr.shape[0]}"
    print(f"{sizes} in {seconds:.0f} s, {torch.get_num_threads()} threads")
    print(f"peak memory of the process: {peak_gib():.2f} GiB ({loaded:.2f} GiB before the forward pass)")


def peak_gib() -> float:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


if __name__ == "__main__":
    main()
