"""evaluation.tables.least_gain: the worst image of each set and compression, and names that are refused."""

import pandas as pd
import pytest

from evaluation.options import EvaluationOptions, LeastGainOptions
from evaluation.tables.least_gain import least_gain_tables
from utils.options import OptionsError, validate


def rows(model, values, compression="jpeg10"):
    return [
        {"model": model, "dataset": "Set", "compression": compression, "image": name, "psnr_y": value, "ssim_y": 0.5}
        for name, value in zip("abc", values)
    ]


def cells(table):
    return [[cell.text for cell in row] for group in table.groups for row in group]


def test_the_least_of_each_compression():
    images = pd.DataFrame(
        rows("Input", [30, 31, 32])
        + rows("Ours", [31, 30.5, 35])
        + rows("Input", [40, 41, 42], "jpeg90")
        + rows("Ours", [40.5, 41.5, 42.25], "jpeg90")
    )
    (table,) = least_gain_tables(images, ["Input", "Ours"], LeastGainOptions(over="Input"))
    assert cells(table) == [["Set", "jpeg10", "-0.500", "b"], ["Set", "jpeg90", "+0.250", "c"]]


def test_a_row_without_scores_says_so():
    images = pd.DataFrame(rows("Input", [30, 31, 32]) + rows("Ours", [31.0], "jpeg90"))
    (table,) = least_gain_tables(images, ["Input", "Ours", "Not there"], LeastGainOptions(over="Input"))
    assert cells(table)[0][2:] == ["–", ""]


def test_an_unknown_row_is_refused():
    values = {"name": "x", "scale": 1, "models": [{"name": "Input", "generator": {"type": "bicubic", "scale": 1}}]}
    values |= {"datasets": [{"name": "S", "hr": "s"}], "least_gain": {"over": "Other"}}
    with pytest.raises(OptionsError, match="no model is called 'Other'"):
        validate(values, EvaluationOptions, "test")
