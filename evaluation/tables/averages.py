"""Averages for each model × set × compression: means, intervals, published figures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from data.codecs import parse
from data.options import EvaluationSetOptions
from evaluation.evaluate import Evaluation
from evaluation.options import EvaluationOptions
from evaluation.tables.bootstrap import interval
from evaluation.tables.published_columns import quoted

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["model", "dataset", "compression"]
MEAN = "mean"
"""Name in place of a compression: the mean over all compressions of a set with several."""


def compressions_of(dataset: EvaluationSetOptions) -> list[str]:
    """The compressions of a set by the names that scores use."""
    return ["as is"] if dataset.lr is not None else [str(parse(spec)) for spec in dataset.compressions]


def rows_of(dataset: EvaluationSetOptions) -> list[str]:
    """The compressions of a set, and `MEAN` if there are several."""
    compressions = compressions_of(dataset)
    return [*compressions, *([MEAN] if len(compressions) > 1 else [])]


def images(evaluation: Evaluation) -> pd.DataFrame:
    """All records as one frame, a row each: pandas takes means and medians over it and writes it as CSV."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                **dict(zip(KEYS, (model, item.set_name, item.compression))),
                "image": item.image,
                **evaluation.scores(record),
                "bits_per_pixel": math.nan if record.bits_per_pixel is None else record.bits_per_pixel,
                "seconds": record.seconds,
            }
            for item, by_model in evaluation.records.items()
            for model, record in by_model.items()
        ]
    )


def averages(evaluation: Evaluation, options: EvaluationOptions) -> pd.DataFrame:
    """A row per model × set × compression, in the order of the options; models without weights have none.

    A set with several compressions also has a row `MEAN`, in which each image counts once.

    Columns: `KEYS`, `images`; for each metric its mean, `_low` and `_high` (95 %, `bootstrap`), `_published` and
    `_difference` (ours minus the published one; empty if there is none); `bits_per_pixel` (mean) and `seconds` (median,
    as the first image on a GPU takes much longer).
    """
    import pandas as pd

    columns = [*KEYS, "images"]
    for name in options.metrics:
        columns += [name, *(f"{name}_{part}" for part in ("low", "high", "published", "difference"))]
    columns += ["bits_per_pixel", "seconds"]
    table = images(evaluation)
    rows = []
    groups = dict(list(table.groupby(KEYS))) if len(table) else {}
    counts = {dataset.name: len(compressions_of(dataset)) for dataset in options.datasets}
    for (model, dataset), of_all in table.groupby(KEYS[:2]) if len(table) else ():
        if of_all["compression"].nunique() < counts[str(dataset)]:
            continue  # some of its networks per quality are missing: its mean would cover other pictures
        groups[model, dataset, MEAN] = of_all.groupby("image", sort=False).mean(numeric_only=True)
    for dataset in options.datasets:
        for compression in rows_of(dataset):
            for model in options.models:
                group = groups.get((model.name, dataset.name, compression))
                if group is None:
                    continue
                row = dict(zip(KEYS, (model.name, dataset.name, compression)), images=len(group))
                names = [name for name in options.metrics if name in evaluation.kinds]
                values = group[names].to_numpy(dtype=np.float64)
                for name, column, low, high in zip(names, values.T, *interval(values)):
                    row |= {name: column.mean(), f"{name}_low": low, f"{name}_high": high}
                    known = quoted(options, model, name, dataset, compression)
                    if known is not None:
                        row[f"{name}_published"] = known.value
                        if known.comparable:
                            row[f"{name}_difference"] = column.mean() - known.value
                bits = group["bits_per_pixel"].to_numpy(dtype=np.float64)
                row |= {"bits_per_pixel": bits.mean(), "seconds": group["seconds"].median()}
                rows.append(row)
    return pd.DataFrame(rows, columns=columns)
