"""PSNR over the steps of an unfolded network, as a figure."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.figures.style import as_files, open_axes
from evaluation.options import EvaluationOptions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 4
LEAST_SPAN = 0.5
"""Smallest range of a panel in dB, so that hundredths do not look large."""
COLOURS = {"jpeg": "Blues", "webp": "Oranges", "hevc": "Greens", "avif": "Purples"}
"""One hue per codec, darker for better quality: ten compressions then look like two families."""
OTHERS = "Greys"
MARKERS = {"jpeg": "o", "webp": "s", "hevc": "^", "avif": "D"}


@dataclass(frozen=True)
class StepScore:
    """Means over the images of a set: Y-PSNR (dB) of x̂ against HR and of ŷ against the clean LR image."""

    model: str
    dataset: str
    compression: str
    step: int
    images: int
    psnr_y_sr: float
    psnr_y_restored_lr: float


def draw(scores: list[StepScore], options: EvaluationOptions) -> dict[str, bytes]:
    """The figure as the contents of files by suffix: `png` and `pdf`."""
    return as_files(plot(scores, options), ("png", "pdf"))


def plot(scores: list[StepScore], options: EvaluationOptions) -> Figure:
    """A column per set and model, x̂ above and ŷ below it, and a line per compression; PSNR over the steps."""
    from matplotlib.figure import Figure  # not pyplot: Agg needs no window and shares no state

    columns = list(dict.fromkeys((score.model, score.dataset) for score in scores))
    compressions = list(dict.fromkeys(score.compression for score in scores))
    across = min(len(columns), MOST_COLUMNS)
    bands = -(-len(columns) // across)
    figure = Figure(figsize=(3.6 * across + 1.6, 6 * bands), layout="constrained")
    axes = figure.subplots(2 * bands, across, squeeze=False)
    for place in range(bands * across):
        upper, lower = axes[2 * (place // across)][place % across], axes[2 * (place // across) + 1][place % across]
        if place >= len(columns):
            upper.remove()
            lower.remove()
            continue
        model, dataset = columns[place]
        here = [score for score in scores if (score.model, score.dataset) == columns[place]]
        _lines(upper, here, compressions, "psnr_y_sr")
        _lines(lower, here, compressions, "psnr_y_restored_lr")
        upper.set_title(f"{textwrap.fill(model, 34)}\n{dataset}, ×{options.scale}", fontsize=11)
        upper.tick_params(labelbottom=False)
        lower.set_xlabel(r"unfolding step (0: input, interpolated for $\hat{x}$)")
        if place % across == 0:
            upper.set_ylabel(r"Y-PSNR of $\hat{x}$ (HR), dB")
            lower.set_ylabel(r"Y-PSNR of $\hat{y}$ (restored LR), dB")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", title="compression", frameon=False)
    figure.align_ylabels()
    return figure


def _lines(axes: Axes, scores: list[StepScore], compressions: list[str], figure: str) -> None:
    for compression in compressions:
        line = [score for score in scores if score.compression == compression]
        codec = _codec(compression)
        axes.plot(
            [score.step for score in line],
            [getattr(score, figure) for score in line],
            color=_colour(compression, compressions),
            marker=MARKERS.get(codec, "v"),
            markersize=4,
            label=compression,
        )
    axes.set_xticks(sorted({score.step for score in scores}))
    low, high = axes.get_ylim()
    missing = max(0.0, LEAST_SPAN - (high - low)) / 2
    axes.set_ylim(low - missing, high + missing)
    open_axes(axes)


def _colour(compression: str, compressions: list[str]) -> tuple[float, float, float, float]:
    import matplotlib

    codec = _codec(compression)
    family = [other for other in compressions if _codec(other) == codec]
    shade = 0.4 + 0.55 * (family.index(compression) + 1) / len(family)
    return matplotlib.colormaps[COLOURS.get(codec, OTHERS)](shade)


def _codec(compression: str) -> str:
    """The codec of the last step of a specification: `jpeg10>webp20` → `webp`."""
    found = re.match(r"[a-z ]*", compression.split(">")[-1])
    assert found is not None  # of no letters, at least
    return found[0]
