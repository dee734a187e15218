"""A sheet of training pairs: LR and HR side by side with the drawn compression, as in a training.

python -m data.preview --options options/compact/residual_unet_jpeg.yml --output pairs.png
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data.datasets import PatchDataset, Sample
from data.prepare import prepare_for
from data.prepare.training_file import read_training_file
from utils.cli import run
from utils.errors import UserError
from utils.images import write_png
from utils.visible import visible

SIDE = 192
"""Smallest side of a patch on the sheet; smaller patches are enlarged by integer factors, pixel by pixel."""
_GAP, _LINE = 8, 18


def sheet(samples: list[Sample], across: int = 4) -> np.ndarray:
    """The sheet, uint8 RGB: `across` pairs per row, text above each; LR patches are enlarged to the size of HR."""
    patches = [(_enlarged(sample.lr, sample.hr.shape[0] // sample.lr.shape[0]), sample.hr) for sample in samples]
    factor = -(-SIDE // patches[0][1].shape[0])
    side = patches[0][1].shape[0] * factor
    width, height = 2 * side + 2 * _GAP, side + _LINE + _GAP
    rows = -(-len(samples) // across)
    page = Image.new("RGB", (across * width + _GAP, rows * height + _GAP), (255, 255, 255))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13.0)
    for place, (sample, (lr, hr)) in enumerate(zip(samples, patches)):
        left, top = _GAP + place % across * width, _GAP + place // across * height
        text = visible(f"{sample.compression}   {sample.image}")
        while text and font.getlength(text) > 2 * side:
            text = text[:-1]
        pen.text((left, top), text, fill=(0, 0, 0), font=font)
        for column, patch in enumerate((lr, hr)):
            page.paste(Image.fromarray(_enlarged(patch, factor)), (left + column * side, top + _LINE))
    return np.asarray(page)


def _enlarged(patch: np.ndarray, factor: int) -> np.ndarray:
    return np.ascontiguousarray(patch.repeat(factor, 0).repeat(factor, 1))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m data.preview", description=__doc__.split("\n")[0])
    parser.add_argument("--options", type=Path, required=True, help="a training options file")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of the options file")
    parser.add_argument("--output", type=Path, default=Path("pairs.png"), help="default: pairs.png")
    parser.add_argument("--count", type=int, default=32, help="pairs (default: 32)")
    parser.add_argument("--first", type=int, default=0, help="number of the first sample (default: 0)")
    arguments = parser.parse_intermixed_args(argv)
    if not 1 <= arguments.count <= 400 or arguments.first < 0:
        raise UserError("--count is 1 to 400, --first 0 or more")
    if arguments.output.suffix.lower() != ".png":
        raise UserError(f"--output {arguments.output}: give a name that ends in .png")
    wanted = read_training_file(arguments.options, arguments.overrides)
    prepare_for(wanted.data.train, wanted.generator.scale)
    dataset = PatchDataset(wanted.data.train, wanted.generator.scale, wanted.seed)
    samples = [dataset.sample(k) for k in range(arguments.first, arguments.first + arguments.count)]
    write_png(arguments.output, sheet(samples))
    print(f"{visible(arguments.output)}: {len(samples)} pairs, LR left, HR right")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
