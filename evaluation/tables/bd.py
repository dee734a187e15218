"""Table of the BD-rate and BD-PSNR of every row against one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data.codecs import parse
from data.codecs.base import QualityCodec
from data.options import EvaluationSetOptions
from evaluation.tables.averages import compressions_of
from evaluation.tables.formats import Cell, Table
from metrics.bjontegaard import LEAST_POINTS, BdOptions, BjontegaardError, Curve, bd_psnr, bd_rate
from metrics.measures import MEASURES

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "–"


def families(dataset: EvaluationSetOptions) -> dict[str, list[str]]:
    """The compressions of a set by codec: `jpeg`, `jpeg:444`, `hevcfull`."""
    found: dict[str, list[str]] = {}
    for compression in compressions_of(dataset):
        codec = None if dataset.lr is not None else parse(compression)
        if isinstance(codec, QualityCodec):
            found.setdefault(codec.family, []).append(compression)
    return found


def bd_tables(
    average: pd.DataFrame, models: list[str], datasets: tuple[EvaluationSetOptions, ...], bd: BdOptions
) -> list[Table]:
    """One table with a group for each set and codec with at least four qualities; no table without such a set.

    Args:
        average: the result of `evaluation.tables.averages.averages`.
        models: the rows, in order.
    """
    measures = [name for name in MEASURES if name.startswith("psnr") and name in average]
    places = [
        (dataset.name, family, compressions)
        for dataset in datasets
        for family, compressions in families(dataset).items()
        if len(compressions) >= LEAST_POINTS
    ]
    if not places or not measures:
        return []
    table = Table("Bjøntegaard differences", ["set", "codec", "model"], 3)
    table.headings += [
        f"{what} by {MEASURES[name].heading}" for name in measures for what in ("BD-rate (%)", "BD-PSNR (dB)")
    ]
    how = "piecewise cubic interpolation" if bd.interpolation == "pchip" else "one cubic polynomial"
    table.caption = [
        f"Against {bd.against}, over the rates and qualities that both rows share, {how}: BD-rate is the difference in "
        "bits at equal PSNR (less is better), BD-PSNR that in PSNR at equal bits.",
    ]
    reasons: dict[str, None] = {}
    for dataset, family, compressions in places:
        group: list[list[Cell]] = []
        for model in models:
            if model == bd.against:
                continue
            words = [dataset, family, ""] if not group else ["", "", ""]
            row = [Cell(word) for word in (*words[:2], model)]
            for name in measures:
                row += [Cell(text) for text in _cells(average, dataset, compressions, model, bd, name, reasons)]
            group.append(row)
        table.groups.append(group)
    table.notes = [f"{NOTHING}: {'; '.join(reasons)}."] if reasons else []
    return [table]


def _cells(
    average: pd.DataFrame,
    dataset: str,
    compressions: list[str],
    model: str,
    bd: BdOptions,
    measure: str,
    reasons: dict[str, None],
) -> tuple[str, str]:
    try:
        anchor, test = (_curve(average, dataset, compressions, name, measure) for name in (bd.against, model))
        rate = f"{bd_rate(anchor, test, bd.interpolation):+.2f}"
        return rate, f"{bd_psnr(anchor, test, bd.interpolation):+.3f}"
    except BjontegaardError as error:
        reasons[f"{model}, {dataset}: {error}"] = None
        return NOTHING, NOTHING


def _curve(average: pd.DataFrame, dataset: str, compressions: list[str], model: str, measure: str) -> Curve:
    rows = average[(average["dataset"] == dataset) & (average["model"] == model)]
    rows = rows[rows["compression"].isin(compressions) & rows[measure].notna()]
    return Curve(rows["bits_per_pixel"].tolist(), rows[measure].astype(float).tolist())
