"""Between trainings of one network: `python test.py interpolate A B … --output FILE`. For users: docs/export.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from inference.shipped_weights import resolve
from inference.weight_interpolation import interpolate
from models import GENERATORS, GeneratorOptions, build_generator, options_in_file
from models.weight_files import export_weights
from utils.errors import UserError
from utils.files import check_new, write_atomically
from utils.visible import visible


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="test.py interpolate", description="Weights between those of trainings (docs/export.md)."
    )
    parser.add_argument("weights", type=Path, nargs="+", metavar="WEIGHTS", help="files, or names in checkpoints/")
    parser.add_argument("--alpha", type=float, help="share of the second of two, 0 to 1 (default: equal shares)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="NAME.safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where there is one")
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    """Write the interpolated weights. Raises UserError and WeightsError for mistakes."""
    if args.output.suffix.lower() != ".safetensors":
        raise UserError(f"--output {args.output}: give a name that ends in .safetensors")
    check_new(args.output, overwrite=args.overwrite)
    shares = _shares(len(args.weights), args.alpha)
    options = [options_in_file(resolve(path)) for path in args.weights]
    for other in options[1:]:
        _check_same(options[0], other)
    between = interpolate((build_generator(each) for each in options), shares)
    said = {"between": " and ".join(path.name for path in args.weights), "shares": shares}
    payload = export_weights(between, said)
    write_atomically(args.output, payload)
    parts = ", ".join(f"{share:.3g} of {visible(path)}" for share, path in zip(shares, args.weights))
    print(f"{visible(args.output)}: {type(between).__name__} x{between.scale}, {len(payload) / 1e6:.1f} MB; {parts}")
    return 0


def _shares(count: int, alpha: float | None) -> list[float]:
    if count < 2:
        raise UserError("interpolate: give two weights or more")
    if alpha is None:
        return [1 / count] * count
    if count > 2:
        raise UserError(f"--alpha is for two weights; {count} have equal shares")
    if not 0 <= alpha <= 1:
        raise UserError(f"--alpha {alpha}: give a share from 0 to 1")
    return [1 - alpha, alpha]


def _check_same(first: GeneratorOptions, second: GeneratorOptions) -> None:
    if not GENERATORS[first.type].trainable:
        raise UserError(f"{first.weights}: a network of others; give weights that training here wrote")
    ours, theirs = (options.model_dump(mode="json", exclude={"weights"}) for options in (first, second))
    differing = [
        f"{key} {ours.get(key)} and {theirs.get(key)}" for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)
    ]
    if differing:
        raise UserError(f"{first.weights} and {second.weights} are two networks: {', '.join(differing)}")
