"""What `restore --strength` trades: RGB-PSNR and LPIPS from the network for PSNR (0) to the perceptual one (1).

    python -m benchmarks.quality.perception_distortion [--images datasets/Kodak24] [--count 8] [--output figures]

Prints a table and draws figures/perception_distortion.png (Blau and Michaeli, The Perception-Distortion Tradeoff, CVPR
2018): the input is a star, each network a line with a dot per strength.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from data.codecs import encode, parse
from data.jpeg_files import CompressedFile
from evaluation.figures.style import COLOURS, styled
from inference import load_restorer
from metrics.lpips import Lpips
from metrics.psnr_ssim import psnr_rgb
from utils.images import list_images, read_image

TASKS = [("perceptual_jpeg", "jpeg10"), ("perceptual_jpeg", "jpeg20"), ("perceptual_hevc", "hevc37")]
STRENGTHS = [0.0, 0.25, 0.5, 0.75, 1.0]


def scores(images: list[np.ndarray], originals: list[np.ndarray], lpips: Lpips) -> tuple[float, float]:
    """Mean RGB-PSNR in dB and mean LPIPS."""
    pairs = list(zip(images, originals))
    return float(np.mean([psnr_rgb(a, b) for a, b in pairs])), float(np.mean([lpips(a, b) for a, b in pairs]))


def main() -> None:
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, default=Path("datasets/Kodak24"), help="folder of originals")
    parser.add_argument("--count", type=int, default=8, help="how many of them, evenly apart (default: 8)")
    parser.add_argument("--output", type=Path, default=Path("figures"), help="folder of the figure")
    args = parser.parse_args()
    paths = list_images(args.images)
    originals = [read_image(path) for path in paths[:: max(1, len(paths) // args.count)][: args.count]]
    lpips = Lpips()
    print(f"{len(originals)} images of {args.images}: RGB-PSNR in dB, LPIPS (AlexNet, standard)", flush=True)
    with styled():
        figure = Figure(figsize=(5, 3.6), layout="constrained")
        axes = figure.add_subplot(xlabel="RGB-PSNR (dB)", ylabel="LPIPS (lower is better)")
        for colour, (name, spec) in zip(COLOURS, TASKS):
            codec = parse(spec)
            files = [encode(image, spec) for image in originals]
            inputs = [codec.decode(file) for file in files]
            before = scores(inputs, originals, lpips)
            print(f"{spec:8}{'input':>10}{before[0]:9.3f}{before[1]:9.4f}", flush=True)
            curve = []
            for strength in STRENGTHS:
                restorer = load_restorer(name, "cpu", strength=strength)
                restored = [restorer(image, file=CompressedFile(file)) for image, file in zip(inputs, files)]
                curve.append(scores(restored, originals, lpips))
                print(f"{spec:8}{strength:10.2f}{curve[-1][0]:9.3f}{curve[-1][1]:9.4f}", flush=True)
            axes.plot(*zip(*curve), marker="o", color=colour, label=f"{name}, {spec}")
            axes.plot(*before, marker="*", markersize=10, color=colour, linestyle="none")
        axes.legend()
        figure.savefig(args.output / "perception_distortion.png", dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
