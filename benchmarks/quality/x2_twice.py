"""×4 by a network for ×4, by one for ×2 applied twice, and by bicubic: Y-PSNR and chroma.

    python -m benchmarks.quality.x2_twice [--images datasets/Kodak24 datasets/LIVE1] [--count 24]

All are restored as `restore` does, consistent with the file where it is a JPEG; `cisrnet_x2` keeps its own colour. The
chroma of an image is the mean distance of its Cb and Cr from grey; printed is its mean over the images as a share of
that of bicubic.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from data.codecs import decode, encode
from data.jpeg_files import CompressedFile
from data.resize import imresize, modcrop
from inference import load_restorer
from metrics.psnr_ssim import psnr_y
from utils.images import list_images, read_image

COMPRESSIONS = ["jpeg10", "jpeg20", "jpeg40", "jpeg75", "jpeg90", "webp20", "none"]
WAYS = ["bicubic", "twice", "network"]


def chroma(image: np.ndarray) -> float:
    """Mean distance of Cb and Cr from grey, in levels, of an uint8 h×w×3 RGB image."""
    ycbcr = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
    return float(np.abs(ycbcr[..., 1:].astype(float) - 128).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", default=[Path("datasets/Kodak24"), Path("datasets/LIVE1")])
    parser.add_argument("--count", type=int, default=24, help="how many of each folder, evenly apart (default: 24)")
    parser.add_argument("--compressions", nargs="+", default=COMPRESSIONS)
    parser.add_argument("--network", default="cisrnet_x4", help="name or file (default: cisrnet_x4)")
    parser.add_argument("--twice", default="cisrnet_x2", help="name or file (default: cisrnet_x2)")
    args = parser.parse_args()
    network, twice = (load_restorer(name, "cpu", own_colour=True) for name in (args.network, args.twice))
    print(f"{'':24}{'Y-PSNR in dB':>28}{'chroma / bicubic':>24}")
    print(f"{'':24}" + "".join(f"{way:>10}" for way in WAYS) + "".join(f"{way:>10}" for way in WAYS[1:]), flush=True)
    for folder in args.images:
        paths = list_images(folder)
        images = [modcrop(read_image(path), 4) for path in paths[:: max(1, len(paths) // args.count)][: args.count]]
        for compression in args.compressions:
            scores, chromas = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
            for hr in images:
                data = encode(imresize(hr, 1 / 4), compression)
                lr, file = decode(data, compression), CompressedFile(data)
                results = {
                    "bicubic": imresize(lr, 4),
                    "twice": twice(twice(lr, file=file)),
                    "network": network(lr, file=file),
                }
                for way, result in results.items():
                    scores[way].append(psnr_y(result, hr, border=4))
                    chromas[way].append(chroma(result))
            figures = "".join(f"{np.mean(scores[way]):10.3f}" for way in WAYS)
            shares = "".join(f"{np.mean(chromas[way]) / np.mean(chromas['bicubic']):10.3f}" for way in WAYS[1:])
            print(f"{folder.name:14}{compression:10}{figures}{shares}", flush=True)


if __name__ == "__main__":
    main()
