"""Evaluate: `python test.py --options FILE`; `… restore`: restore photos; `… score`; `… export`; `… interpolate`."""

import argparse
import sys
from pathlib import Path

from utils.cli import run
from utils.visible import visible


def main(argv: list[str]) -> int:
    """Evaluate, or the named command; returns the exit status."""
    if argv[:1] == ["score"]:
        from evaluation import score

        parser = argparse.ArgumentParser(
            prog="test.py score", description="Score the images of one folder against another's."
        )
        score.add_arguments(parser)
        return score.main(parser.parse_args(argv[1:]))
    if argv[:1] == ["export"]:
        from evaluation import export

        parser = argparse.ArgumentParser(
            prog="test.py export", description="Export a network as ONNX or safetensors (docs/export.md)."
        )
        export.add_arguments(parser)
        return export.main(parser.parse_args(argv[1:]))
    if argv[:1] == ["interpolate"]:
        from evaluation import interpolate

        parser = argparse.ArgumentParser(
            prog="test.py interpolate", description="Weights between those of trainings (docs/export.md)."
        )
        interpolate.add_arguments(parser)
        return interpolate.main(parser.parse_args(argv[1:]))
    if argv[:1] == ["restore"]:
        from evaluation.restoring import restore

        return restore.main(restore.parse(argv[1:]))
    parser = argparse.ArgumentParser(
        description="Restore and score whole data sets, restore photos that have no ground truth; all goes to "
        "results/<name>/.",
        epilog="`python test.py restore --help`: restore your own photos. `python test.py score --help`: score a "
        "folder of images that any program restored. `python test.py export --help`: a network as ONNX. "
        "`python test.py interpolate --help`: weights between trainings.",
    )
    parser.add_argument("--options", type=Path, required=True, help="YAML file; the shipped ones are under options/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted.key=value, e.g. save_images=false")
    arguments = parser.parse_intermixed_args(argv)

    from evaluation.evaluate import evaluate
    from evaluation.options import EvaluationOptions
    from evaluation.ranks import is_main_process
    from evaluation.report.page import write_report
    from evaluation.restoring.photos import check_photos, restore_photos
    from evaluation.tables import FILES, write_tables
    from evaluation.unfolding import check_unfolding, write_unfolding
    from utils.options import load

    options = load(arguments.options, EvaluationOptions, arguments.overrides)
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


def mistakes() -> tuple[type[Exception], ...]:
    """The error types of `models` and `losses` that are the user's to mend."""
    from losses import LossWeightsError
    from models import WeightsError

    return WeightsError, LossWeightsError


if __name__ == "__main__":
    sys.exit(run(main, mistakes))
