"""Evaluate: `python test.py --options options/quickstart/eval.yml`; score two folders: `python test.py score`."""

import argparse
import sys
from pathlib import Path

from utils.cli import run


def main(argv: list[str]) -> int:
    """Evaluate, or the named command; returns the exit status."""
    if argv[:1] == ["score"]:
        from evaluation import score

        parser = argparse.ArgumentParser(
            prog="test.py score", description="Score the images of one folder against another's."
        )
        score.add_arguments(parser)
        return score.main(parser.parse_args(argv[1:]))
    parser = argparse.ArgumentParser(
        description="Restore and score whole data sets; tables go to results/<name>/.",
        epilog="`python test.py score --help`: score a folder of images that any program restored.",
    )
    parser.add_argument("--options", type=Path, required=True, help="YAML file; the shipped ones are under options/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted.key=value, e.g. save_images=false")
    arguments = parser.parse_intermixed_args(argv)

    from evaluation.evaluate import evaluate
    from evaluation.options import EvaluationOptions
    from evaluation.tables import FILES, write_tables
    from utils.options import load

    options = load(arguments.options, EvaluationOptions, arguments.overrides)
    evaluation = evaluate(options)
    if evaluation is not None:  # rank 0
        print(write_tables(evaluation, options))
        print(f"\nwritten to {options.folder}/: {', '.join(FILES)}{', images/' if options.save_images else ''}")
    return 0


def mistakes() -> tuple[type[Exception], ...]:
    """The error types of `models` and `losses` that are the user's to mend."""
    from losses import LossWeightsError
    from models import WeightsError

    return WeightsError, LossWeightsError


if __name__ == "__main__":
    sys.exit(run(main, mistakes))
