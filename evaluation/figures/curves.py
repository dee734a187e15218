"""Scores over quality or bits per pixel: a panel per codec, a line per model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from data.codecs import parse
from data.codecs.base import QualityCodec
from evaluation.figures.style import heading, legend_below, line_styles, open_axes, styled
from evaluation.options import EvaluationOptions
from evaluation.tables.averages import compressions_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Against = Literal["quality", "bits_per_pixel"]

MOST_COLUMNS = 4
TITLES = {
    "jpeg": "JPEG",
    "jpeg:444": "JPEG 4:4:4",
    "jpeg:422": "JPEG 4:2:2",
    "webp": "WebP",
    "avif": "AVIF",
    "hevc": "HEVC",
    "hevcfull": "HEVC, full range",
    "hevc:420": "HEVC 4:2:0",
    "hm": "HEVC by HM",
    "hmfull": "HEVC by HM, full range",
}
"""Names of codecs by their specification without the quality."""


def plot_curves(
    average: pd.DataFrame,
    options: EvaluationOptions,
    measure: str = "psnr_y",
    against: Against = "bits_per_pixel",
) -> Figure | None:
    """A panel per set and codec, a line per model: means over the images. Sets are rows, codecs columns.

    Args:
        average: the result of `evaluation.tables.averages.averages`, or the content of `average.csv`; models, sets and
            compressions without rows are left out.
        measure: a column of it, one of `metrics.measures.MEASURES`.
        against: the x axis. Qualities use the scale of their codec; QPs decrease, so that better quality is right.

    Returns:
        None if no model has `measure` at two qualities of a codec.
    """
    from matplotlib.figure import Figure  # not pyplot: Agg needs no window and shares no state

    panels = _panels(average, options, measure)
    if not panels:
        return None
    sets = list(dict.fromkeys(dataset for dataset, _ in panels))
    families = list(dict.fromkeys(family for _, family in panels))
    # With one codec the sets are in columns.
    across = len(families) if len(families) > 1 else min(len(sets), MOST_COLUMNS)
    down = len(sets) if len(families) > 1 else -(-len(sets) // across)
    with styled():
        figure = Figure(figsize=(max(3.0 * across, 4.5), 2.7 * down + 0.6), layout="constrained")
        grid = figure.add_gridspec(down, across)
        for row, dataset in enumerate(sets):
            for column, family in enumerate(families):
                if (dataset, family) not in panels:
                    continue
                place = (row, column) if len(families) > 1 else divmod(row, across)
                axes = figure.add_subplot(grid[place])
                _panel(axes, panels[dataset, family], options, measure, against)
                axes.set_title(f"{dataset}, {TITLES.get(family, family)}, ×{options.scale}")
                axes.set_ylabel(heading(measure))
        legend_below(figure, [model.name for model in options.models])
    return figure


def _panels(
    average: pd.DataFrame, options: EvaluationOptions, measure: str
) -> dict[tuple[str, str], dict[QualityCodec, pd.DataFrame]]:
    """For each set and codec with a curve, in the options' order: the rows of each quality, ascending."""
    if measure not in average:
        return {}
    known = average[average[measure].notna()]
    found: dict[tuple[str, str], dict[QualityCodec, pd.DataFrame]] = {}
    for dataset in options.datasets:
        for compression in compressions_of(dataset):
            codec = None if dataset.lr is not None else parse(compression)
            rows = known[(known["dataset"] == dataset.name) & (known["compression"] == compression)]
            if isinstance(codec, QualityCodec) and len(rows):
                found.setdefault((dataset.name, codec.family), {})[codec] = rows
    return {
        place: dict(sorted(qualities.items(), key=lambda item: item[0].one_quality))
        for place, qualities in found.items()
        if max(sum((rows["model"] == model.name).any() for rows in qualities.values()) for model in options.models) > 1
    }


def _panel(
    axes: Axes,
    qualities: dict[QualityCodec, pd.DataFrame],
    options: EvaluationOptions,
    measure: str,
    against: Against,
) -> None:
    for name, style in line_styles(options).items():
        points = []
        for codec, rows in qualities.items():
            for _, row in rows[rows["model"] == name].iterrows():
                points.append((codec.one_quality if against == "quality" else row["bits_per_pixel"], row[measure]))
        if len(points) > 1:
            axes.plot(*zip(*points), label=name, **style)
    title = next(iter(qualities)).title
    if against == "quality":
        axes.set_xlabel(title)
        axes.set_xticks([codec.one_quality for codec in qualities])
        if title.endswith("QP"):
            axes.invert_xaxis()
    else:
        axes.set_xlabel("bits per pixel of the LR image" if options.scale > 1 else "bits per pixel")
    open_axes(axes)
