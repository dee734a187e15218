"""How far tiles and the whole image differ, and how large the step is where two tiles meet.

    python -m benchmarks.quality.restore_seams [--weights FILE ...] [--tile 128]

On scikit-image's astronaut at JPEG 20, 256×256 pixels, at the default overlap, in grey levels of 0 to 255. The step is
the largest change from one pixel to the next, where two tiles fade, that the whole image has not. Without --weights:
small networks with random weights, which show the kind of difference, not its size.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from skimage import data

from data.codecs import compress
from inference.restorer import OVERLAP, Restorer
from models import Generator, build_generator, options_in_file

SMALL = {
    "RRDBNet": {
        "type": "rrdbnet",
        "scale": 2,
        "num_feat": 16,
        "num_block": 2,
        "num_grow_ch": 8,
        "pixel_unshuffle": False,
    },
    "CISRNet": {
        "type": "cisrnet",
        "scale": 2,
        "num_feat": 16,
        "coarse_groups": 1,
        "coarse_blocks": 2,
        "fine_blocks": 2,
    },
    "CISR-PSI": {"type": "cisr_psi", "scale": 2, "num_feat": 16, "arm_groups": 1, "rem_groups": 1, "blocks": 2},
}


def differences(generator: Generator, image: np.ndarray, tile: int) -> tuple[float, float, float]:
    """(largest, mean) difference of tiles from the whole, and the largest step that tiles have added."""
    wide = image.astype(np.uint16) * 257  # finer than the steps
    restorer = Restorer(generator, tile=tile)
    whole = Restorer(generator, tile=max(image.shape))(wide) / 257
    apart = restorer(wide) / 257 - whole
    steps = [0.0]
    tiles = restorer.plan(*image.shape[:2])
    for axis, along in enumerate((tiles.rows, tiles.columns)):
        change = np.abs(np.diff(apart, axis=axis))
        for before, after in pairwise(along.spans):
            fade = slice(after.first * generator.scale, before.last * generator.scale)
            steps.append(float(change[fade].max() if axis == 0 else change[:, fade].max()))
    return float(np.abs(apart).max()), float(np.abs(apart).mean()), max(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="files that say which network they are for")
    parser.add_argument("--tile", type=int, default=128, help="side of the tiles (default: 128)")
    args = parser.parse_args()
    torch.manual_seed(0)
    networks = {path.stem: build_generator(options_in_file(path)) for path in args.weights} or {
        f"{name} (random)": build_generator(options) for name, options in SMALL.items()
    }
    image = compress(np.ascontiguousarray(data.astronaut()[:256, 100:356]), "jpeg20")
    print(f"tiles of {args.tile}, overlap {OVERLAP}: grey levels {'largest':>14}{'mean':>10}{'step':>10}")
    for name, network in networks.items():
        largest, mean, step = differences(network.eval(), image, args.tile)
        print(f"{name:38}{largest:10.3f}{mean:10.4f}{step:10.4f}", flush=True)


if __name__ == "__main__":
    main()
