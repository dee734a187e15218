"""Draw figures: `python -m evaluation.figures curves --options FILE`; `… heat-map`, `crops`, `training`, `networks`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from utils.cli import run
from utils.visible import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluation.options import EvaluationOptions

SUFFIXES = ("png", "pdf")
Draw = Callable[[argparse.Namespace], "dict[str, Figure]"]
"""Figures by file name."""


def main(argv: list[str]) -> int:
    """Draw the figures of one command into a folder; returns the exit status."""
    arguments = _parser().parse_args(argv)
    figures = arguments.draw(arguments)

    from evaluation.figures.style import as_files
    from utils.files import write_atomically

    for name, figure in figures.items():
        for suffix, content in as_files(figure, SUFFIXES).items():
            write_atomically(arguments.output / f"{name}.{suffix}", content)
        print(*(visible(arguments.output / f"{name}.{suffix}") for suffix in SUFFIXES))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.figures", description="Figures for papers, as PNG and PDF (docs/evaluation.md)."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, draw: Draw, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.add_argument("--output", type=Path, default=Path("figures"), help="folder (default: figures)")
        added.set_defaults(draw=draw)
        return added

    def of_an_evaluation(name: str, draw: Draw, help: str) -> argparse.ArgumentParser:
        added = command(name, draw, help)
        added.add_argument("--options", type=Path, required=True, help="options file of a finished evaluation")
        added.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of that evaluation")
        return added

    curves = of_an_evaluation("curves", _curves, "scores over quality and over bits per pixel, a panel per codec")
    heat_map = of_an_evaluation("heat-map", _heat_map, "gain over the baseline: models × compressions")
    for scored in (curves, heat_map):
        scored.add_argument("--measure", default="psnr_y", help="a metric of the evaluation (default: psnr_y)")
    crops = of_an_evaluation("crops", _crops, "crops of restored images side by side, with scores of the full image")
    crops.add_argument(
        "--image",
        action="append",
        metavar="SET/IMAGE/COMPRESSION",
        help="e.g. Kodak24/kodim19/jpeg10; may be repeated (default: in each set where the gain is largest)",
    )
    crops.add_argument("--box", metavar="X,Y,W,H", help="part of the HR image in pixels (default: where models differ)")
    training = command("training", _training, "loss, learning rate and validation scores of trainings")
    training.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run: experiments/<name>")
    command("networks", _networks, "drawings of CISR-PSI, CISRNet and RRDBNet")
    return parser


def _load(arguments: argparse.Namespace) -> EvaluationOptions:
    from evaluation.options import EvaluationOptions
    from utils.options import load

    return load(arguments.options, EvaluationOptions, arguments.overrides)


def _curves(arguments: argparse.Namespace) -> dict[str, Figure]:
    from evaluation.figures.curves import plot_curves
    from evaluation.figures.results import read_average
    from utils.errors import UserError

    options = _load(arguments)
    average = read_average(options, arguments.measure)
    figures = {
        f"curves_{options.name}_{against}": plot_curves(average, options, arguments.measure, against)
        for against in ("quality", "bits_per_pixel")
    }
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    if len(drawn) < len(figures):
        raise UserError(f"{options.folder}: no codec has {arguments.measure} at two qualities; evaluate more of them")
    return drawn


def _heat_map(arguments: argparse.Namespace) -> dict[str, Figure]:
    from evaluation.figures.heat_map import plot_heat_map
    from evaluation.figures.results import read_average
    from utils.errors import UserError

    options = _load(arguments)
    figure = plot_heat_map(read_average(options, arguments.measure), options, arguments.measure)
    if figure is None:
        raise UserError(
            f"{options.folder}: no gain to show; the evaluation needs scores of a model of generator type bicubic "
            "and of another one"
        )
    return {f"heat_map_{options.name}": figure}


def _crops(arguments: argparse.Namespace) -> dict[str, Figure]:
    from evaluation.figures.crops import draw_crops

    return draw_crops(_load(arguments), arguments.image, arguments.box)


def _training(arguments: argparse.Namespace) -> dict[str, Figure]:
    from evaluation.figures.training import plot_training
    from evaluation.figures.training_log import read_run

    runs = [read_run(folder) for folder in arguments.runs]
    return {"_".join(["training", *(run.name for run in runs)]): plot_training(runs)}


def _networks(arguments: argparse.Namespace) -> dict[str, Figure]:
    from evaluation.figures.networks import draw_networks

    return draw_networks()


if __name__ == "__main__":
    sys.exit(run(main))
