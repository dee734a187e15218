"""Curves: which panels and lines there are, what they hold, and that files are the same each time."""

import io

import numpy as np
import pandas as pd
import pytest

from evaluation.figures.curves import plot_curves
from evaluation.figures.style import BASELINE, COLOURS, as_files, baseline, line_styles
from evaluation.options import EvaluationOptions
from utils.options import validate


def options(compressions, models=("Ours", "Theirs"), sets=("Set5",), scale=2, **values):
    return validate(
        {
            "name": "run",
            "scale": scale,
            "models": [
                {"name": "Bicubic", "generator": {"type": "bicubic", "scale": scale}},
                *({"name": name, "weights": f"nowhere/{name}.safetensors"} for name in models),
            ],
            "datasets": [{"name": name, "hr": "nowhere", "compressions": list(compressions)} for name in sets],
            **values,
        },
        EvaluationOptions,
        "test",
    )


def averages(given, names=("Bicubic", "Ours"), leave_out=()):
    """Row k: 20 + k dB at (k + 1) / 10 bits per pixel; read back as from a file."""
    rows = [
        (model.name, dataset.name, compression)
        for dataset in given.datasets
        for compression in dataset.compressions
        for model in given.models
        if model.name in names and (model.name, compression) not in leave_out
    ]
    table = pd.DataFrame(rows, columns=["model", "dataset", "compression"])
    table["psnr_y"] = 20.0 + np.arange(len(rows))
    table["lpips"] = np.nan
    table["bits_per_pixel"] = (1.0 + np.arange(len(rows))) / 10
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


def test_a_panel_per_codec_with_two_qualities_and_a_line_per_model_with_two():
    given = options(["jpeg40", "jpeg10", "none", "webp20", "hevc32", "hevc37", "jpeg10>webp20"])
    # `Ours` has one JPEG score alone, `Theirs` none at all
    figure = plot_curves(averages(given, leave_out=[("Ours", "jpeg40")]), given, against="quality")
    jpeg, hevc = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["Set5, JPEG, ×2", "Set5, HEVC, ×2"]
    assert [line.get_label() for line in jpeg.lines] == ["Bicubic"]
    assert list(jpeg.lines[0].get_xdata()) == [10, 40] and list(jpeg.lines[0].get_ydata()) == [21, 20]
    assert [line.get_label() for line in hevc.lines] == ["Bicubic", "Ours"]
    assert hevc.xaxis_inverted() and not jpeg.xaxis_inverted()  # better to the right
    assert [hevc.get_xlabel(), hevc.get_ylabel()] == ["HEVC QP", "Y-PSNR (dB)"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Bicubic", "Ours"]


def test_rates_are_read_with_the_scores():
    given = options(["jpeg10", "jpeg40"], scale=1)
    (axes,) = plot_curves(averages(given), given).axes
    np.testing.assert_allclose([line.get_xdata() for line in axes.lines], [[0.1, 0.3], [0.2, 0.4]])
    np.testing.assert_allclose([line.get_ydata() for line in axes.lines], [[20, 22], [21, 23]])
    assert axes.get_xlabel() == "bits per pixel"


@pytest.mark.parametrize(
    ("compressions", "shape"), [(["jpeg10", "jpeg20"], (2, 4)), (["jpeg10", "jpeg20", "webp10", "webp20"], (5, 2))]
)
def test_sets_of_one_codec_stand_side_by_side_others_are_rows(compressions, shape):
    given = options(compressions, sets=("A", "B", "C", "D", "E"))
    figure = plot_curves(averages(given), given)
    assert len(figure.axes) == (5 if shape == (2, 4) else 10)
    assert {axes.get_subplotspec().get_gridspec().get_geometry() for axes in figure.axes} == {shape}


def test_nothing_to_draw():
    one = options(["jpeg10", "webp10", "none"])
    assert plot_curves(averages(one), one) is None
    two = options(["jpeg10", "jpeg20"])
    assert plot_curves(averages(two), two, measure="lpips") is None  # all empty
    assert plot_curves(averages(two), two, measure="psnr_rgb") is None  # no such column
    assert plot_curves(averages(two, names=()), two) is None


def test_a_model_keeps_its_colour_and_marker_when_another_has_no_results():
    given = options(["jpeg10", "jpeg20"])
    styles = line_styles(given)
    assert styles["Bicubic"] == BASELINE and styles["Theirs"]["color"] == COLOURS[1]
    (axes,) = plot_curves(averages(given, names=["Theirs"]), given).axes
    assert axes.lines[0].get_color() == COLOURS[1] and axes.lines[0].get_marker() == "s"
    many = line_styles(options(["none"], models=[f"model {place}" for place in range(30)]))
    assert len({(style["color"], style["marker"]) for style in many.values()}) == 31
    assert baseline(given).name == "Bicubic"


def test_the_same_figure_is_the_same_bytes():
    given = options(["jpeg10", "jpeg20"])
    first, second = (as_files(plot_curves(averages(given), given)) for _ in range(2))
    assert first == second and list(first) == ["png", "pdf", "svg"]
    assert first["png"].startswith(b"\x89PNG") and first["pdf"].startswith(b"%PDF") and b"</svg>" in first["svg"]
    assert not any(b"Date" in content for content in first.values())
    assert b"dc:date" not in first["svg"]
