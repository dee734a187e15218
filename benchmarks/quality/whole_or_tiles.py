"""Whether a network that was trained on small patches does its best on a whole image: Y-PSNR, whole and in tiles.

    python -m benchmarks.quality.whole_or_tiles --weights FILE ... [--images datasets/Kodak24] [--count 4]

Channel attention averages over what it is given. A network that has seen only patches can be better on tiles of a
photograph than on the photograph (Chu et al., ECCV 2022, section 3); then its training wants larger patches.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from data.codecs import compress
from data.resize import imresize, modcrop
from inference.restorer import Restorer
from metrics.psnr_ssim import psnr_y
from models import build_generator, options_in_file
from utils.images import list_images, read_image


def scores(restorer: Restorer, images: list[np.ndarray], compression: str) -> list[float]:
    """Y-PSNR in dB of every HR image, made smaller, compressed and restored."""
    scale = restorer.generator.scale
    found = []
    for image in images:
        hr = modcrop(image, scale)
        found.append(psnr_y(restorer(compress(imresize(hr, 1 / scale), compression)), hr, border=scale))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--weights", type=Path, nargs="+", required=True, help="files that say which network they are for"
    )
    parser.add_argument("--images", type=Path, default=Path("datasets/Kodak24"), help="folder of HR images")
    parser.add_argument("--count", type=int, default=4, help="how many of them, evenly apart (default: 4)")
    parser.add_argument("--compressions", nargs="+", default=["jpeg10", "jpeg40"])
    parser.add_argument("--tile", type=int, default=64, help="side of the tiles in LR pixels (default: 64)")
    args = parser.parse_args()
    paths = list_images(args.images)
    images = [read_image(path) for path in paths[:: max(1, len(paths) // args.count)][: args.count]]
    print(f"{len(images)} images of {args.images}; Y-PSNR in dB, the whole image, tiles of {args.tile}")
    for path in args.weights:
        network = build_generator(options_in_file(path)).eval()
        for compression in args.compressions:
            whole = scores(Restorer(network), images, compression)
            tiled = scores(Restorer(network, tile=args.tile, overlap=16), images, compression)
            difference = np.subtract(whole, tiled)
            print(
                f"{path} {compression:8}{np.mean(whole):8.3f}{np.mean(tiled):8.3f}   "
                f"whole - tiles: {difference.mean():+.3f} ({difference.min():+.3f} to {difference.max():+.3f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
