"""The heat map: rows, columns, gains and what is left out."""

import numpy as np
import pandas as pd
import pytest

from evaluation.figures.heat_map import plot_heat_map
from evaluation.options import EvaluationOptions
from utils.options import validate


def options(sets=("Set5",), baseline="Bicubic"):
    generator = {"generator": {"type": "bicubic", "scale": 2}}
    return validate(
        {
            "name": "run",
            "scale": 2,
            "models": [
                {"name": "JPEG", "weights": "nowhere/a.safetensors"},
                *([{"name": baseline, **generator}] if baseline else []),
                {"name": "WebP", "weights": "nowhere/b.safetensors"},
                {"name": "untrained", "weights": "nowhere/c.safetensors"},
            ],
            "datasets": [{"name": name, "hr": "nowhere", "compressions": ["jpeg10", "webp20"]} for name in sets],
        },
        EvaluationOptions,
        "test",
    )


def scores(gains, sets=("Set5",), compressions=("jpeg10", "webp20"), measure="psnr_y"):
    """`gains`: model → gain by compression, over 0 to 2; NaN leaves the row out."""
    rows = [
        {"model": model, "dataset": name, "compression": compression, measure: place + gain}
        for name in sets
        for model, values in {"Bicubic": (0.0, 0.0), **gains}.items()
        for place, (compression, gain) in enumerate(zip(compressions, values))
        if not np.isnan(gain)
    ]
    return pd.DataFrame(rows)


def cells(axes):
    return {(text.get_position()): text.get_text() for text in axes.texts}


def test_cells_are_gains_over_the_baseline():
    figure = plot_heat_map(scores({"JPEG": (0.5, -1.25), "WebP": (np.nan, 0.25)}), options())
    axes, bar = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["JPEG", "WebP"]  # neither baseline nor untrained
    assert [label.get_text() for label in axes.get_xticklabels()] == ["jpeg10", "webp20"]
    assert cells(axes) == {(0, 0): "+0.50", (1, 0): "−1.25", (1, 1): "+0.25"}
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array().filled(np.nan), [[0.5, -1.25], [np.nan, 0.25]])
    assert image.get_clim() == (-1.25, 1.25)  # 0 is in the middle
    assert figure.get_suptitle() == "gain in Y-PSNR (dB) over Bicubic" and axes.get_title("left") == "Set5, ×2"
    assert bar.get_ylim() == (-1.25, 1.25)


def test_sets_are_panels_of_one_scale_and_compressions_without_scores_are_left_out():
    both = pd.concat([scores({"JPEG": (0.5, 0.0)}, ["A"]), scores({"JPEG": (2.0, np.nan)}, ["B"])])
    first, second, _ = plot_heat_map(both, options(["A", "B", "C"])).axes
    assert [len(cells(axes)) for axes in (first, second)] == [2, 1]
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-2, 2)
    assert first.get_xlim() == second.get_xlim()  # a cell is as wide in both


def test_less_is_better_for_lpips():
    figure = plot_heat_map(scores({"JPEG": (-0.1, 0.02)}, measure="lpips"), options(), "lpips")
    assert cells(figure.axes[0]) == {(0, 0): "+0.100", (1, 0): "−0.020"}


@pytest.mark.parametrize("baseline", [None, "Other bicubic"])
def test_nothing_without_a_baseline_or_its_scores(baseline):
    assert plot_heat_map(scores({"JPEG": (0.5, 0.5)}), options(baseline=baseline)) is None
