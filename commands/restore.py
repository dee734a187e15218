"""Restore photos: `python test.py restore INPUT... --output FOLDER --model NAME`. For users: docs/restoring.md."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from commands.choose_network import choose_generator
from commands.output_checks import check_output
from commands.photo_files import find_jobs
from commands.photo_queue import restore_all
from inference import build_restorer
from inference.devices import pick_device
from inference.restorer import OVERLAP
from inference.shipped_weights import FOLDER, cards, colour_weights
from utils.cli import one_line
from utils.errors import UserError
from utils.images.photo_writer import LONGEST_SIDE
from utils.visible import visible


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command line; all that stands behind `--` is photos, whatever it begins with."""
    parser = argparse.ArgumentParser(prog="test.py restore", description="Restore photos (docs/restoring.md).")
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="photos, folders of photos, or globs in quotes")
    parser.add_argument("--output", type=Path, help="folder of the restored photos; sub-folders are mirrored")
    network = parser.add_argument_group("network (one of the three)")
    network.add_argument("--model", metavar="NAME", help="weights in checkpoints/, see --list; default: by --scale")
    network.add_argument(
        "--weights", type=Path, metavar="FILE", help="trained here, or a published file: docs/restoring.md"
    )
    network.add_argument(
        "--options",
        type=Path,
        metavar="FILE",
        help="a training file's generator (with --weights), or a model of an evaluation file (by --model)",
    )
    network.add_argument("--scale", type=int, help="choose among the weights in checkpoints/ by scale")
    network.add_argument("--list", action="store_true", help="print the weights in checkpoints/ and exit")
    files = parser.add_argument_group("files")
    formats = [suffix.strip(".") for suffix in LONGEST_SIDE]
    files.add_argument("--format", choices=formats, default="png", help="of the restored photos (default: png)")
    files.add_argument("--quality", type=int, help="1 to 100, for jpg, webp and avif (default: 95)")
    files.add_argument("--overwrite", action="store_true", help="replace existing results (default: skip them)")
    files.add_argument(
        "--max-megapixels", type=float, default=200, help="refuse larger photos, before and after (default: 200)"
    )
    how = parser.add_argument_group("computation")
    how.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="default: CUDA if there is one")
    how.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="default: fp32")
    how.add_argument("--self-ensemble", action="store_true", help="mean over 8 orientations: 8 x the time")
    how.add_argument(
        "--tile",
        type=int,
        help="side of the tiles in input pixels; default: whole where memory allows. In tiles, CISR-PSI gives "
        "another result, and seams may show",
    )
    how.add_argument(
        "--strength",
        type=float,
        default=1.0,
        help="0 to 1: how far from the photo to the network's result; for perceptual_jpeg and "
        "perceptual_hevc, from the result of the network for PSNR (default: 1)",
    )
    how.add_argument(
        "--no-consistency",
        action="store_true",
        help="let the result of a JPEG contradict the file: by default each of its DCT coefficients is brought within "
        "half a quantisation step of the file's, at larger scales nearly",
    )
    how.add_argument(
        "--own-colour",
        action="store_true",
        help="keep the colour of cisrnet_x2 and cisr_psi_x2 themselves: by default their results get that of "
        "residual_unet_jpeg, enlarged",
    )
    how.add_argument("--overlap", type=int, default=OVERLAP, help=f"input pixels that tiles share (default: {OVERLAP})")
    place = argv.index("--") if "--" in argv else len(argv)
    arguments = parser.parse_intermixed_args(argv[:place])
    arguments.inputs += argv[place + 1 :]
    return arguments


def main(args: argparse.Namespace) -> int:
    """Restore every photo that can be; the others are named at the end.

    Returns 0, or 1 if some photo failed. Raises UserError and WeightsError for mistakes in the arguments.
    """
    if args.list:
        print(_list())
        return 0
    _check(args)
    warnings.filterwarnings("ignore", module="PIL")  # what it says of damaged files stands in the summary
    suffix = f".{args.format}"
    found = find_jobs(args.inputs, args.output, suffix)
    device = pick_device(args.device)
    options = choose_generator(args.model, args.weights, args.options, args.scale)
    if (colourist := colour_weights(options.weights)) and not args.own_colour:
        print(f"colour by {colourist.stem}; --own-colour keeps that of the network itself", file=sys.stderr)
    restorer = build_restorer(
        options,
        device,
        precision=args.precision,
        self_ensemble=args.self_ensemble,
        tile=args.tile,
        overlap=args.overlap,
        consistency=not args.no_consistency,
        own_colour=args.own_colour,
        strength=args.strength,
    )
    check_output(args.output)
    limit = int(args.max_megapixels * 1e6)
    summary = restore_all(found.jobs, restorer, limit, args.quality or 95, overwrite=args.overwrite)
    summary.failed += map(one_line, found.unreadable)
    parts = [f"restored {summary.restored}"]
    if summary.skipped:
        parts.append(f"skipped {summary.skipped} that are there already (--overwrite restores them again)")
    if summary.failed:
        parts.append(f"failed {len(summary.failed)}")
    print(f"{', '.join(parts)}; in {visible(args.output)}")
    if found.passed_over:
        print(visible(found.said()), file=sys.stderr)
    for line in summary.failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if summary.failed else 0


def _check(args: argparse.Namespace) -> None:
    if not args.inputs or args.output is None:
        raise UserError("give photos or folders to restore, and --output FOLDER; --help shows all")
    if args.output.exists() and not args.output.is_dir():
        raise UserError(f"{args.output}: a file stands where the output folder should be")
    if args.quality is not None and args.format == "png":
        raise UserError("--quality is for jpg, webp and avif: PNG loses nothing")
    if args.quality is not None and not 1 <= args.quality <= 100:
        raise UserError(f"--quality is {args.quality}; give 1 to 100")
    if not 0 < args.max_megapixels <= 100_000:
        raise UserError(f"--max-megapixels is {args.max_megapixels:g}; give a number above 0, up to 100000")


def _list() -> str:
    found = cards()
    if not found:
        return f"no weights in {FOLDER} yet"
    width = max(len(card.name) for card in found)
    lines = (f"{card.name:{width}}  {card.system:9} x{card.scale}  {card.summary}" for card in found)
    return "\n".join(map(visible, lines))
