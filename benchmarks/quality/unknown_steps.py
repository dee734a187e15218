"""Files without quantisation steps: how much the network for JPEG changes an image, and what that gains.

    python -m benchmarks.quality.unknown_steps [--images datasets/Kodak24] [--count 24] [--compressions none jpeg90 ...]

Each image is compressed and restored from its pixels alone; traces of a JPEG in them (data/jpeg_files/traces.py) are
not used. The change is the root mean square between input and output of the network, in grey levels of 255; the gain is
in RGB-PSNR. `restore` keeps an image whose change is below `inference.restorer.LEAST_CHANGE`: the last columns count
these images and tell what they miss.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.quality.network_alone import restored_alone
from data.codecs import compress
from data.jpeg_files.quantisation import UNKNOWN
from inference.devices import ready
from inference.restorer import LEAST_CHANGE
from inference.shipped_weights import resolve
from metrics.psnr_ssim import psnr_rgb
from models import options_in_file
from utils.images import list_images, read_image

COMPRESSIONS = ["none", "jpeg98", "jpeg95", "jpeg90", "jpeg80", "jpeg60", "webp95", "webp90", "webp80"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", default=[Path("datasets/Kodak24")])
    parser.add_argument("--count", type=int, default=24, help="how many of each folder, evenly apart (default: 24)")
    parser.add_argument("--size", type=int, default=320, help="side of the part that is taken of each (default: 320)")
    parser.add_argument("--compressions", nargs="+", default=COMPRESSIONS)
    parser.add_argument("--weights", type=Path, default=Path("residual_unet_jpeg"))
    args = parser.parse_args()
    network = ready(options_in_file(resolve(args.weights)), torch.device("cpu"))
    print(f"{'':24}{'change, grey levels':>24}{'gain, dB':>16}{'kept':>8}{'their gain':>12}")
    print(f"{'':24}" + "".join(f"{word:>8}" for word in ("least", "mean", "most", "least", "mean", "", "mean")))
    for folder in args.images:
        paths = list_images(folder)
        images = [read_image(path) for path in paths[:: max(1, len(paths) // args.count)][: args.count]]
        for compression in args.compressions:
            changes, gains = np.array([_of(network, image, args.size, compression) for image in images]).T
            kept = changes < LEAST_CHANGE
            missed = f"{gains[kept].mean():12.3f}" if kept.any() else f"{'–':>12}"
            print(
                f"{folder.name:14}{compression:10}{changes.min():8.2f}{changes.mean():8.2f}{changes.max():8.2f}"
                f"{gains.min():8.3f}{gains.mean():8.3f}{kept.sum():8d}{missed}",
                flush=True,
            )


def _of(network, image: np.ndarray, size: int, compression: str) -> tuple[float, float]:
    """Change and gain of the middle of an image; without compression the gain is 0."""
    top, left = ((side - min(size, side)) // 2 for side in image.shape[:2])
    hr = np.ascontiguousarray(image[top : top + size, left : left + size])
    before = compress(hr, compression)
    after = restored_alone(network, before, UNKNOWN)
    change = float(np.sqrt(np.square(after.astype(float) - before).mean()))
    return change, 0.0 if compression == "none" else psnr_rgb(after, hr) - psnr_rgb(before, hr)


if __name__ == "__main__":
    main()
