"""What `train.py --check` estimates of device memory, for every stage of the shipped options of paper size.

    python benchmarks/memory/training.py

Nothing is computed and no data is needed. VGG19's weights are written to a temporary file, random: their values do
not matter here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch
import torchvision

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from training.memory_estimate import stage_memory  # noqa: E402
from training.options import TrainOptions  # noqa: E402
from utils.options import load  # noqa: E402

FILES = [f"{system}/{name}.yml" for system, names in [
    ("cisrnet", ("x2", "x3", "x4")), ("cisr_psi", ("x2", "x3", "x4")), ("esrgan", ("rrdbnet_hevc37", "esrgan_hevc37")),
] for name in names]  # fmt: skip


def main() -> int:
    """Print the table."""
    print("| options | stage | batch | patch | MiB | activations | weights, gradients, optimiser |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        vgg = Path(temporary) / "vgg19.pth"
        torch.save(torchvision.models.vgg19().features.state_dict(prefix="features."), vgg)
        for file in FILES:
            options = load(ROOT / "options" / file, TrainOptions)
            needing = [n for n, s in enumerate(options.stages) if getattr(s.recipe, "perceptual", None) is not None]
            overrides = [f"stages.{n}.recipe.perceptual.weights={vgg}" for n in needing]
            options = load(ROOT / "options" / file, TrainOptions, overrides)
            for position, stage in enumerate(options.stages):
                memory = stage_memory(options, position)
                rest = memory.weights + memory.gradients + memory.optimizer
                numbers = " | ".join(f"{size / 2**20:,.0f}" for size in (memory.total, memory.activations, rest))
                print(f"| `{file}` | {stage.name} | {stage.batch_size} | {options.data.train.patch_size} | {numbers} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
