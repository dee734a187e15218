"""Train an experiment: `python train.py --options options/cisrnet/x2.yml [dotted.key=value ...]`."""

import argparse
import sys
from pathlib import Path

from utils.cli import run

PROFILED = 20
"""Iterations that `--profile` times unless told."""


def main(argv: list[str]) -> int:
    """Parse the command line; check, profile or train; returns the exit status."""
    parser = argparse.ArgumentParser(description="Train the stages of one experiment.")
    parser.add_argument("--options", type=Path, required=True, help="YAML file; the shipped ones are under options/")
    parser.add_argument("--resume", metavar="auto|FILE", help="go on from the newest whole checkpoint, or from FILE")
    parser.add_argument("--check", action="store_true", help="resolve the options, look at data and network, and exit")
    parser.add_argument(
        "--profile",
        nargs="?",
        type=int,
        metavar="N",
        help=f"time N iterations of the first stage (default {PROFILED}) and trace a few; no run is started",
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="dotted.key=value, e.g. seed=1")
    arguments = parser.parse_intermixed_args(_with_count(argv))

    # After the command line is understood: torch takes seconds to import, --help should not.
    from training.options import TrainOptions
    from utils.options import load

    options = load(arguments.options, TrainOptions, arguments.overrides)
    if arguments.check:
        from training.check import check

        return check(options)
    if arguments.profile is not None:
        from training.profile import profile_training

        return profile_training(options, arguments.profile)
    from training.experiment import run_experiment

    return run_experiment(options, arguments.resume)


def _with_count(argv: list[str]) -> list[str]:
    """`--profile` without a number gets one: argparse would take an override behind it for the number."""
    following = [*argv[1:], ""]
    return [
        f"--profile={PROFILED}" if argument == "--profile" and not after.isdigit() else argument
        for argument, after in zip(argv, following)
    ]


if __name__ == "__main__":
    sys.exit(run(main))
