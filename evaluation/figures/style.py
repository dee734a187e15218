"""Style and files of all figures: one palette, one font, the same bytes each time."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from evaluation.options import EvaluationOptions, ModelOptions
from metrics.measures import MEASURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette without yellow: distinguishable with any colour vision, and on white paper."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than colours: the eighth model shares a colour, not a marker."""
BASELINE = {"color": "#7F7F7F", "marker": ".", "linestyle": "--"}
DPI = 150

_RC: dict[Any, object] = {  # the names are literals in the stubs of newer matplotlib, text in those of older
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "legend.fontsize": 9,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "pdf.fonttype": 42,  # text stays text
    "svg.hashsalt": "figures",  # names inside the file are otherwise drawn at random
}
_METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def styled() -> AbstractContextManager[None]:
    """Apply the style to matplotlib within `with`; the earlier settings are restored."""
    import matplotlib

    return matplotlib.rc_context(_RC)


def as_files(figure: Figure, suffixes: tuple[str, ...] = ("png", "pdf", "svg")) -> dict[str, bytes]:
    """The content of a figure's files by suffix; without dates, so that equal figures have equal bytes."""
    files = {}
    with styled():
        for suffix in suffixes:
            content = io.BytesIO()
            figure.savefig(content, format=suffix, dpi=DPI, metadata=_METADATA[suffix])
            files[suffix] = content.getvalue()
    return files


def baseline(options: EvaluationOptions) -> ModelOptions | None:
    """The model that gains refer to: the first bicubic one (at scale 1 the input itself), if there is one."""
    return next((model for model in options.models if _is_baseline(model)), None)


def line_styles(options: EvaluationOptions) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of each model by its place in the options, whether or not it has results."""
    styles: dict[str, dict[str, Any]] = {}
    place = 0
    for model in options.models:
        if _is_baseline(model):
            styles[model.name] = BASELINE
            continue
        styles[model.name] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        place += 1
    return styles


def heading(measure: str) -> str:
    """Axis label of a measure, with its unit."""
    name = MEASURES[measure].heading
    return f"{name} (dB)" if "PSNR" in name else name


def open_axes(axes: Axes) -> None:
    """Draw a light grid and remove the upper and right edges of the frame."""
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def legend_below(figure: Figure, order: list[str]) -> None:
    """Draw one legend for the lines of all axes below them, in `order`, in as many columns as fit."""
    lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
    names = [name for name in order if name in lines]
    column = 0.6 + 0.08 * max(map(len, names))  # inches: the sample of a line, and a letter
    across = max(1, min(len(names), int(figure.get_figwidth() / column)))
    figure.legend([lines[name] for name in names], names, loc="outside lower center", ncols=across, frameon=False)


def _is_baseline(model: ModelOptions) -> bool:
    return model.generator is not None and model.generator.type == "bicubic"
