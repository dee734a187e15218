"""Curves of trainings: loss, learning rate and validation scores over the iterations of all stages."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from evaluation.figures.style import COLOURS, MARKERS, open_axes, styled
from evaluation.figures.training_log import Points, Run, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = len(COLOURS)
"""Most sets and compressions of a single run that have a line each; of more, the mean is drawn."""
SPREAD = 3
"""Ratio of the largest to the smallest loss from which their axis is logarithmic."""
_DASHES = ("-", ":", "--", "-.")


def plot_training(runs: list[Run]) -> Figure:
    """Three panels, from top to bottom: loss, learning rate, Y-PSNR of the validation.

    Stages are joined on the x axis, separated by dotted lines; as stages may have different losses, their lines are not
    connected. Runs are coloured in the given order.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    with styled():
        figure = Figure(figsize=(6.4, 6.6), layout="constrained")
        loss, rate, score = figure.subplots(3, sharex=True)
        for place, run in enumerate(runs):
            _draw(run, COLOURS[place % len(COLOURS)], loss, rate, alone=len(runs) == 1)
        each = len(runs) == 1 and len(_places(runs[0])) <= MOST_LINES
        for place, run in enumerate(runs):
            if each:
                _each(run, score)
            else:
                _mean(run, COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], score)
        losses = [value for run in runs for stage in run.stages for _, value in stage.loss]
        if losses and 0 < SPREAD * min(losses) < max(losses):
            loss.set_yscale("log")
        loss.set_ylabel("loss")
        rate.set_ylabel("learning rate")
        rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
        rate.set_ylim(bottom=0)
        score.set_ylabel("Y-PSNR (dB)" if each else "mean Y-PSNR (dB)")
        score.set_xlabel("iteration")
        score.set_xlim(left=0)
        score.xaxis.set_major_formatter(EngFormatter(sep=""))
        for axes in (loss, rate, score):
            open_axes(axes)
        figure.suptitle("" if len(runs) > 1 else runs[0].name, fontsize=10)
        lines, labels = (score if len(runs) == 1 else loss).get_legend_handles_labels()
        if lines:
            title = "validation" if len(runs) == 1 else None
            columns = min(len(lines), 3)
            figure.legend(lines, labels, loc="outside lower center", ncols=columns, frameon=False, title=title)
    return figure


def _draw(run: Run, colour: str, loss: Axes, rate: Axes, *, alone: bool) -> None:
    start = 0
    for place, stage in enumerate(run.stages):
        label = run.name if place == 0 else None
        loss.plot(*_columns(stage.loss, start), color=colour, linewidth=1, label=label)
        for number, (dash, (name, points)) in enumerate(zip(_DASHES, stage.rates.items())):
            label = name.removeprefix("lr_") if alone and len(stage.rates) > 1 else None
            rate.plot(*_columns(points, start), label=label, linestyle=dash, color=COLOURS[number] if alone else colour)
        if alone and len(run.stages) > 1:
            middle = start + stage.length / 2
            loss.annotate(stage.name, (middle, 1.02), xycoords=("data", "axes fraction"), ha="center", va="bottom")
        start += stage.length
        if place + 1 < len(run.stages):
            for axes in loss.figure.axes:
                axes.axvline(start, color=colour if not alone else "#7F7F7F", linestyle=":", linewidth=1)
    if rate.get_legend_handles_labels()[0]:
        rate.legend(frameon=False, loc="lower left")  # this corner is free: rates fall


def _places(run: Run) -> list[str]:
    return list(dict.fromkeys(place for stage in run.stages for place in stage.scores))


def _scores_at(place: str, stage: Stage) -> Points:
    return stage.scores.get(place, [])


def _each(run: Run, axes: Axes) -> None:
    for colour, marker, place in zip(COLOURS, MARKERS, _places(run)):
        points = _joined(run, partial(_scores_at, place))
        axes.plot(*_columns(points, 0), color=colour, marker=marker, label=place)


def _mean(run: Run, colour: str, marker: str, axes: Axes) -> None:
    def mean(stage: Stage) -> Points:
        values: dict[int, list[float]] = {}
        for points in stage.scores.values():
            for iteration, value in points:
                values.setdefault(iteration, []).append(value)
        return [(iteration, fmean(values[iteration])) for iteration in sorted(values)]

    points = _joined(run, mean)
    if points:
        axes.plot(*_columns(points, 0), color=colour, marker=marker)


def _joined(run: Run, of: Callable[[Stage], Points]) -> Points:
    """The points of all stages, joined."""
    points, start = [], 0
    for stage in run.stages:
        points += [(start + iteration, value) for iteration, value in of(stage)]
        start += stage.length
    return points


def _columns(points: Points, start: int) -> tuple[list[int], list[float]]:
    return [start + iteration for iteration, _ in points], [value for _, value in points]
