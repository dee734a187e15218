"""JPEG files that were saved again: gain by the network for JPEG, told different quantisation steps.

    python -m benchmarks.quality.saved_again [--images datasets/Kodak24] [--count 24] [--compressions jpeg30>jpeg90 ...]

A compression that ends in `>none` was saved again without loss. Gains are in RGB-PSNR, without the projection into the
file's cell: with the steps that the file tells (none without loss), with unknown ones, with those traced in the pixels
(the qualities found stand behind), and with those of the first encoding.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.quality.network_alone import restored_alone
from data.codecs import compress, parse
from data.jpeg_files.quantisation import UNKNOWN, steps_of
from data.jpeg_files.traces import traced_quality
from inference.devices import ready
from inference.shipped_weights import resolve
from metrics.psnr_ssim import psnr_rgb
from models import options_in_file
from utils.images import list_images, read_image

COMPRESSIONS = ["jpeg10>none", "jpeg40>none", "jpeg75>none", "jpeg90>none", "jpeg10>jpeg40", "jpeg30>jpeg75"]
COMPRESSIONS += ["jpeg30>jpeg90", "jpeg50>jpeg60", "jpeg75>jpeg95"]
WAYS = ["file", "unknown", "traced", "first"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, default=Path("datasets/Kodak24"))
    parser.add_argument("--count", type=int, default=24, help="how many images, evenly apart (default: 24)")
    parser.add_argument("--compressions", nargs="+", default=COMPRESSIONS)
    parser.add_argument("--weights", type=Path, default=Path("residual_unet_jpeg"))
    args = parser.parse_args()
    network = ready(options_in_file(resolve(args.weights)), torch.device("cpu"))
    paths = list_images(args.images)
    images = [read_image(path) for path in paths[:: max(1, len(paths) // args.count)][: args.count]]
    print(f"{'gain, dB':16}" + "".join(f"{way:>10}" for way in WAYS) + "   traced qualities")
    for compression in args.compressions:
        first, *_, last = compression.split(">")
        file = UNKNOWN if last == "none" else steps_of(parse(last))
        gains: dict[str, list[float]] = {way: [] for way in WAYS}
        found = set()
        for hr in images:
            before = compress(hr, compression.removesuffix(">none"))
            quality = traced_quality(before)
            found.add(quality)
            traced = file if quality is None else steps_of(parse(f"jpeg{quality}"))
            for way, steps in zip(WAYS, (file, UNKNOWN, traced, steps_of(parse(first)))):
                gains[way].append(psnr_rgb(restored_alone(network, before, steps), hr) - psnr_rgb(before, hr))
        figures = "".join(f"{np.mean(gains[way]):10.3f}" for way in WAYS)
        print(f"{compression:16}{figures}   {', '.join(sorted(map(str, found)))}", flush=True)


if __name__ == "__main__":
    main()
