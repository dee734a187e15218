"""Calibrate a network for JPEG: `python test.py calibrate --weights FILE --hr FOLDER --output FILE`; docs/export.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from data.resize import imresize
from inference.calibrate import QUALITIES, fit
from inference.devices import ready
from inference.shipped_weights import resolve
from models import options_in_file
from models.weight_files import about, export_weights
from utils.errors import UserError
from utils.files import check_new, write_atomically
from utils.images import list_images, read_image
from utils.visible import visible

_SIDE = 448  # of the part of a photograph that is used, in pixels of the network's input
_LEAST = 64


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="test.py calibrate", description="Fit how much of a network's changes to keep, by DCT coefficient."
    )
    parser.add_argument("--weights", type=Path, required=True, help="file, or name in checkpoints/")
    parser.add_argument("--hr", type=Path, nargs="+", required=True, help="folders of photographs, not the test sets'")
    parser.add_argument("--count", type=int, default=48, help="photographs of each folder, evenly apart (default: 48)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="NAME.safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where there is one")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    """Write the weights with their calibration. Raises UserError, WeightsError and ImageError for mistakes."""
    if args.output.suffix.lower() != ".safetensors":
        raise UserError(f"--output {args.output}: give a name that ends in .safetensors")
    if args.count < 1:
        raise UserError(f"--count is {args.count}; give 1 or more")
    check_new(args.output, overwrite=args.overwrite)
    weights = resolve(args.weights)
    options = options_in_file(weights)
    paths = [path for folder in args.hr for path in _evenly(list_images(folder), args.count)]
    generator = ready(options, torch.device("cpu"))
    bar = tqdm(paths, unit="photo", disable=None)
    generator.calibration = fit(generator, _photos(bar, options.scale))
    said = {key: value for key, value in about(weights).items() if key not in ("generator", "calibration")}
    payload = export_weights(generator, said)
    write_atomically(args.output, payload)
    means = np.mean(generator.calibration.factors, axis=(3, 4))
    print("mean factor     Y zero   Y other    C zero   C other")
    for quality, (luma, chroma) in zip(QUALITIES, means):
        print(f"quality {quality:<4}" + "".join(f"{mean:10.2f}" for mean in (*luma, *chroma)))
    print(f"{visible(args.output)}: {type(generator).__name__}, {len(payload) / 1e6:.1f} MB, {len(paths)} photographs")
    return 0


def _evenly(paths: list[Path], count: int) -> list[Path]:
    return [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))]


def _photos(paths: tqdm, scale: int) -> Iterator[np.ndarray]:
    """Parts of the photographs; at scale 1 of half their size, which removes the traces of their own compression."""
    for path in paths:
        photo = read_image(path)
        part = (imresize(photo, 0.5) if scale == 1 else photo)[: _SIDE * scale, : _SIDE * scale]
        height, width = part.shape[0] // scale, part.shape[1] // scale
        if min(height, width) < _LEAST:
            raise UserError(f"{path}: {width}x{height} pixels as the network's input; {_LEAST} are needed")
        yield np.ascontiguousarray(part)
