"""Between two trainings of a network: `python test.py interpolate A B --output FILE`. For users: docs/export.md."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from evaluation.weights_by_name import resolve
from models import GENERATORS, Generator, GeneratorOptions, build_generator, options_in_file
from models.checkpoints import export_weights
from utils.errors import UserError
from utils.files import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", type=Path, nargs=2, metavar="WEIGHTS", help="two files, or names in checkpoints/")
    parser.add_argument("--alpha", type=float, default=0.5, help="share of the second, 0 to 1 (default: 0.5)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="NAME.safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace the file where there is one")


def main(args: argparse.Namespace) -> int:
    """Write the interpolated weights. Raises UserError and WeightsError for mistakes."""
    if args.output.suffix.lower() != ".safetensors":
        raise UserError(f"--output {args.output}: give a name that ends in .safetensors")
    if args.output.is_dir() or (args.output.exists() and not args.overwrite):
        raise UserError(f"{args.output}: is there already; --overwrite replaces a file")
    if not 0 <= args.alpha <= 1:
        raise UserError(f"--alpha {args.alpha}: give a share from 0 to 1")
    first, second = (options_in_file(resolve(path)) for path in args.weights)
    _check_same(first, second)
    between = interpolate(build_generator(first), build_generator(second), args.alpha)
    said = {"between": f"{args.weights[0].name} and {args.weights[1].name}", "alpha": args.alpha}
    payload = export_weights(between, said)
    write_atomically(args.output, payload)
    print(
        f"{args.output}: {type(between).__name__} x{between.scale}, {len(payload) / 1e6:.1f} MB; "
        f"{1 - args.alpha:g} of {args.weights[0]}, {args.alpha:g} of {args.weights[1]}"
    )
    return 0


@torch.no_grad()
def interpolate(first: Generator, second: Generator, alpha: float) -> Generator:
    """`first` with (1 - alpha) of its own weights and alpha of the other's (Wang et al., ESRGAN, section 3.4).

    Of use where one training began at the other's weights: between a network for PSNR and the adversarial one that it
    became, or between two ends of one training, whose mean is often better than either (Izmailov et al., UAI 2018).

    Args:
        first, second: networks of equal options. `first` is changed.
        alpha: 0 to 1.
    """
    theirs = second.state_dict()
    for name, tensor in first.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(tensor.double(), theirs[name].double(), alpha))
    return first


def _check_same(first: GeneratorOptions, second: GeneratorOptions) -> None:
    if not GENERATORS[first.type].trainable:
        raise UserError(f"{first.weights}: a network of others; give weights that training here wrote")
    ours, theirs = (options.model_dump(mode="json", exclude={"weights"}) for options in (first, second))
    differing = [
        f"{key} {ours.get(key)} and {theirs.get(key)}" for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)
    ]
    if differing:
        raise UserError(f"{first.weights} and {second.weights} are two networks: {', '.join(differing)}")
