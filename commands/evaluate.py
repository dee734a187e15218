"""Restore and score whole data sets: `python test.py --options FILE`. For users: docs/evaluation.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from utils.visible import visible


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="test.py",
        description="Restore and score whole data sets, restore photos that have no ground truth; all goes to "
        "results/<name>/.",
        epilog="`python test.py restore --help`: restore your own photos. `python test.py score --help`: score a "
        "folder of images that any program restored. `python test.py export --help`: a network as ONNX. "
        "`python test.py interpolate --help`: weights between trainings.",
    )
    parser.add_argument("--options", type=Path, required=True, help="YAML file; the shipped ones are under options/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted.key=value, e.g. save_images=false")
    return parser.parse_intermixed_args(argv)


def main(args: argparse.Namespace) -> int:
    """Write tables, images and report, and print the tables.

    Returns 0, or 1 if some photo could not be restored. Raises UserError for mistakes in options, files and weights.
    """
    # After the command line is understood: torch takes seconds to import, --help should not.
    from evaluation.evaluate import evaluate
    from evaluation.options import EvaluationOptions
    from evaluation.photos.sets import check_photos, restore_photos
    from evaluation.ranks import is_main_process
    from evaluation.report.page import write_report
    from evaluation.tables.build import FILES, write_tables
    from evaluation.unfolding import check_unfolding, write_unfolding
    from utils.options import load

    options = load(args.options, EvaluationOptions, args.overrides)
    check_unfolding(options)
    check_photos(options)
    written = ["images/"] if options.save_images else []
    evaluation = evaluate(options) if options.datasets else None
    if not is_main_process():
        return 0
    if evaluation is not None:
        print(write_tables(evaluation, options), end="\n\n")
        written = [*FILES, *written]
    written += write_unfolding(options)
    photos = restore_photos(options)
    written += photos.written
    print(f"written to {visible(options.folder)}/: {', '.join(written)}")
    if evaluation is not None and options.report:
        print(f"all of it on one page: {visible(write_report(evaluation, options))}")
    for line in photos.failed:
        print(f"left out: {line}", file=sys.stderr)
    return 1 if photos.failed else 0
