"""Tables of the image that gains least over another row, which show whether a network degrades any image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.options import LeastGainOptions
from evaluation.tables.averages import KEYS
from evaluation.tables.formats import Cell, Table
from metrics.measures import MEASURES

if TYPE_CHECKING:
    import pandas as pd


def least_gain_tables(images: pd.DataFrame, models: list[str], options: LeastGainOptions) -> list[Table]:
    """One table for each PSNR: a row per set and compression, and for each model its least gain and the image.

    Args:
        images: the result of `evaluation.tables.averages.images`.
        models: the columns, in order.
    """
    tables = []
    places = list(dict.fromkeys(zip(images["dataset"], images["compression"])))
    for measure in (name for name in MEASURES if name.startswith("psnr") and name in images):
        scores = images.set_index([*KEYS, "image"])[measure].astype(float).sort_index()
        there = [model for model in models if model != options.over and model in set(images["model"])]
        heading = MEASURES[measure].heading
        table = Table(f"Least gain in {heading}", ["set", "compression"], 2)
        for model in there:
            table.headings += [f"{model} (dB)", "image"]
        table.caption = [f"{heading} of an image less that of the same image under {options.over}: the least of a set."]
        for dataset, compression in places:
            row = [Cell(dataset), Cell(compression)]
            for model in there:
                row += _least(scores, model, options.over, dataset, compression)
            table.groups.append([row])
        tables.append(table)
    return tables


def _least(scores: pd.Series, model: str, over: str, dataset: str, compression: str) -> list[Cell]:
    try:
        gains = scores[model, dataset, compression] - scores[over, dataset, compression]
    except KeyError:
        return [Cell("–"), Cell("")]
    gains = gains.dropna()
    return [Cell(f"{gains.min():+.3f}"), Cell(str(gains.idxmin()))] if len(gains) else [Cell("–"), Cell("")]
