"""The table of Bjøntegaard differences: which curves it compares, and what it says where there are none."""

from pathlib import Path

import pandas as pd
import pytest

from data.options import EvaluationSetOptions
from evaluation.published import lookup
from evaluation.tables.bd import bd_tables
from evaluation.tables.formats import as_markdown
from metrics.bjontegaard import BdOptions, Curve, bd_psnr, bd_rate

QUALITIES = (10, 20, 30, 40)
BITS = (0.45, 0.69, 0.89, 1.07)


def averages(figures, dataset="LIVE1", suffix=""):
    """`figures`: model → PSNR at each of QUALITIES."""
    return pd.DataFrame(
        [
            {"model": model, "dataset": dataset, "compression": f"jpeg{quality}{suffix}", "bits_per_pixel": bits,
             "psnr_rgb": value}
            for model, values in figures.items()
            for quality, bits, value in zip(QUALITIES, BITS, values)
        ]
    )  # fmt: skip


def dataset(*compressions):
    return EvaluationSetOptions(name="LIVE1", hr=Path("nowhere"), compressions=compressions)


def published(method):
    return [lookup(method, "LIVE1", 1, f"jpeg{quality}").psnr for quality in QUALITIES]


@pytest.mark.parametrize("interpolation", ["pchip", "cubic"])
def test_published_rows_by_the_set_and_codec(interpolation):
    figures = {"Input": published("input"), "FBCNN": published("FBCNN"), "SwinIR": published("SwinIR")}
    sets = (dataset(*(f"jpeg{quality}" for quality in QUALITIES), "webp30", "none"),)
    bd = BdOptions(against="Input", interpolation=interpolation)
    (table,) = bd_tables(averages(figures), list(figures), sets, bd)
    (group,) = table.groups
    assert [[cell.text for cell in row[:3]] for row in group] == [["LIVE1", "jpeg", "FBCNN"], ["", "", "SwinIR"]]
    curves = {name: Curve(BITS, values) for name, values in figures.items()}
    for row, name in zip(group, ("FBCNN", "SwinIR")):
        assert row[3].text == f"{bd_rate(curves['Input'], curves[name], interpolation):+.2f}"
        assert row[4].text == f"{bd_psnr(curves['Input'], curves[name], interpolation):+.3f}"
    assert -45 < float(group[0][3].text) < -25 and 1.9 < float(group[0][4].text) < 2.2
    assert table.headings[3:] == ["BD-rate (%) by RGB-PSNR", "BD-PSNR (dB) by RGB-PSNR"]
    assert "Against Input" in as_markdown(table)


def test_rows_without_four_points_say_why_and_sets_without_are_left_out():
    figures = {"Input": published("input"), "Half": published("FBCNN")[:2]}
    four = dataset(*(f"jpeg{quality}" for quality in QUALITIES))
    (table,) = bd_tables(averages(figures), list(figures), (four,), BdOptions(against="Input"))
    assert [cell.text for cell in table.groups[0][0][3:]] == ["–", "–"]
    assert "Half, LIVE1: a curve of 2 rates" in table.notes[0]
    three = dataset("jpeg10", "jpeg20", "jpeg30", "jpeg40:444")  # two codecs
    assert bd_tables(averages(figures), list(figures), (three,), BdOptions(against="Input")) == []
