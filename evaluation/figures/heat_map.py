"""Gain over the baseline, models × compressions, as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluation.figures.style import baseline, heading, styled
from evaluation.options import EvaluationOptions
from evaluation.tables.averages import compressions_of
from metrics.measures import MEASURES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DARK = 0.6
"""Share of the colour range beyond which the numbers in cells are white."""


def plot_heat_map(average: pd.DataFrame, options: EvaluationOptions, measure: str = "psnr_y") -> Figure | None:
    """A panel per set: rows are models, columns the compressions that they are tested on.

    A cell shows the gain of a model over the baseline, positive if it is better (lower, for LPIPS). All panels share
    one colour scale with white at 0. Cells without a score are empty; rows and columns without any score are left out.

    Args:
        average: as for `plot_curves`.
        measure: a column of it.

    Returns:
        None if the options have no baseline, or no model has a score where the baseline has one.
    """
    from matplotlib.figure import Figure

    panels = {}
    for dataset in options.datasets:
        compressions = compressions_of(dataset)
        gains = _gains(average, options, dataset.name, compressions, measure)
        scored = ~np.isnan(gains).all(axis=0)
        if scored.any():
            columns = [dataset.name_of(name) for name, there in zip(compressions, scored) if there]
            panels[dataset.name] = columns, gains[:, scored]
    if not panels:
        return None
    models = _rows(options)
    # Leave out models without a score in any set, such as those not trained yet.
    kept = [row for row in range(len(models)) if any(not np.isnan(gains[row]).all() for _, gains in panels.values())]
    reach = max(float(np.nanmax(np.abs(gains))) for _, gains in panels.values()) or 1.0
    decimals = MEASURES[measure].decimals - 1
    widest = max(len(columns) for columns, _ in panels.values())
    names = 0.085 * max(len(models[row]) for row in kept)  # inches
    with styled():
        height = (0.36 * len(kept) + 0.7) * len(panels) + 0.6
        figure = Figure(figsize=(max(4.5, 0.72 * widest + names + 1.6), height), layout="constrained")
        stack = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
        for axes, (name, (columns, gains)) in zip(stack, panels.items()):
            shown = gains[kept]
            image = axes.imshow(np.ma.masked_invalid(shown), cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
            axes.set_xlim(-0.5, widest - 0.5)  # cells of one width in all panels
            axes.set_title(f"{name}, ×{options.scale}", loc="left")
            axes.set_xticks(range(len(columns)), columns, rotation=45 if max(map(len, columns)) > 7 else 0)
            axes.set_yticks(range(len(kept)), [models[row] for row in kept])
            axes.set_ylabel("weights")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            for (row, column), gain in np.ndenumerate(shown):
                if not np.isnan(gain):
                    colour = "white" if abs(gain) > DARK * reach else "black"
                    axes.text(
                        column, row, f"{gain:+.{decimals}f}".replace("-", "−"), ha="center", va="center", color=colour
                    )
        stack[-1].set_xlabel("tested on")
        bar = figure.colorbar(image, ax=list(stack), fraction=0.05, shrink=0.9)
        bar.outline.set_visible(False)
        reference = baseline(options)
        assert reference is not None  # without one there are no gains
        figure.suptitle(f"gain in {heading(measure)} over {reference.name}", fontsize=10)
    return figure


def _rows(options: EvaluationOptions) -> list[str]:
    reference = baseline(options)
    return [model.name for model in options.models if model is not reference]


def _gains(
    average: pd.DataFrame, options: EvaluationOptions, dataset: str, compressions: list[str], measure: str
) -> np.ndarray:
    """Gains, models × compressions; NaN where a score is missing."""
    reference = baseline(options)
    models = _rows(options)
    if reference is None or measure not in average:
        return np.full((len(models), len(compressions)), np.nan)
    table = average[average["dataset"] == dataset].pivot(index="model", columns="compression", values=measure)
    table = table.reindex(index=[*models, reference.name], columns=compressions).astype(float)
    gains = table.loc[models].to_numpy() - table.loc[reference.name].to_numpy()
    return gains if MEASURES[measure].more_is_better else -gains
