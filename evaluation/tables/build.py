"""Tables of scores for the screen, Markdown and LaTeX; averages, costs and single images as CSV."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluation.evaluate import Cost, Evaluation
from evaluation.options import EvaluationOptions
from evaluation.tables.averages import averages, images, rows_of
from evaluation.tables.bd import bd_tables
from evaluation.tables.bootstrap import LEVEL, RESAMPLES
from evaluation.tables.captions import caption
from evaluation.tables.formats import Cell, Mark, Table, as_latex, as_markdown, as_text
from evaluation.tables.least_gain import least_gain_tables
from evaluation.tables.published_columns import Quoted, findings, quoted, quoted_cost
from inference.complexity import megapixel_input
from metrics.measures import MEASURES
from utils.files import write_atomically
from utils.visible import csv_cell

if TYPE_CHECKING:
    import pandas as pd

FILES = ("table.md", "table.tex", "average.csv", "costs.csv", "images.csv")
NOT_THERE = "not trained yet"
FAILED = "failed"
LEFT_OUT = "no weights"
NOTHING = "–"


@dataclass(frozen=True)
class Tables:
    """All tables of an evaluation, and the averages they show."""

    average: pd.DataFrame
    main: list[Table]
    costs: Table
    intervals: list[Table]
    bd: list[Table]
    least_gain: list[Table]


def make_tables(evaluation: Evaluation, options: EvaluationOptions) -> Tables:
    """The averages of `evaluation` and their tables."""
    average = averages(evaluation, options)
    return Tables(
        average,
        main_tables(average, evaluation, options),
        cost_table(average, evaluation, options),
        interval_tables(average, evaluation, options),
        bd_tables(average, [model.name for model in options.models], options.datasets, options.bd)
        if options.bd
        else [],
        least_gain_tables(_named(images(evaluation), options), [m.name for m in options.models], options.least_gain)
        if options.least_gain
        else [],
    )


def _named(table: pd.DataFrame, options: EvaluationOptions) -> pd.DataFrame:
    """The table with what each set calls its compressions."""
    sets = {dataset.name: dataset for dataset in options.datasets}
    names = [sets[name].name_of(spec) for name, spec in zip(table["dataset"], table["compression"])]
    return table.assign(compression=names)


def write_tables(evaluation: Evaluation, options: EvaluationOptions) -> str:
    """Write `FILES` in the results folder; return the tables for the screen, without the intervals."""
    tables = make_tables(evaluation, options)
    average, main, costs = tables.average, tables.main, tables.costs
    every = [*main, *tables.bd, *tables.least_gain, costs, *tables.intervals]
    contents = {
        "table.md": "\n\n".join(map(as_markdown, every)) + "\n",
        "table.tex": "% Needs \\usepackage{booktabs,graphicx}.\n" + "\n\n".join(map(as_latex, every)) + "\n",
        "average.csv": _csv(average),
        "costs.csv": _csv(_costs(average, evaluation)),
        "images.csv": _csv(images(evaluation)),
    }
    for name in FILES:
        write_atomically(options.folder / name, contents[name].encode())
    return "\n\n".join(map(as_text, [*main, *tables.bd, *tables.least_gain, costs]))


def _csv(frame: pd.DataFrame) -> str:
    """CSV with six decimals; text is escaped by `csv_cell`."""
    words = frame.select_dtypes(exclude="number")
    shown = {str(name): words[name].map(csv_cell, na_action="ignore") for name in words}
    return frame.assign(**shown).to_csv(index=False, float_format="%.6f")


def main_tables(average: pd.DataFrame, evaluation: Evaluation, options: EvaluationOptions) -> list[Table]:
    """A table per set, or one for all sets if each has one compression; a group of rows per set × compression."""
    tables: list[Table] = []
    sets = {dataset.name: dataset for dataset in options.datasets}
    for table, place in _skeletons(average, options, "bpp"):
        quotes = {
            (model.name, name, dataset, compression): quoted(options, model, name, sets[dataset], compression)
            for model in options.models
            for name in options.metrics
            for dataset, compression in place
        }
        compared = [n for n in options.metrics if any(q for key, q in quotes.items() if q and key[1] == n)]
        for name in options.metrics:
            table.headings += [MEASURES[name].heading, *(["published", "difference"] if name in compared else [])]
        table.caption = caption(options) if not tables else []
        caveats: dict[str, str] = {}
        for (dataset, compression), group in zip(place, table.groups):
            rows = average[(average["dataset"] == dataset) & (average["compression"] == compression)]
            marks = {name: _marks(rows, name) for name in options.metrics}
            bits = rows["bits_per_pixel"].mean()
            for first, (row, model) in enumerate(zip(group, options.models)):
                row.append(Cell(f"{bits:.3f}" if not first and not math.isnan(bits) else ""))
                scored = rows[rows["model"] == model.name]
                for name in options.metrics:
                    if model.name in evaluation.failed or evaluation.costs[model.name] is None:
                        why = FAILED if model.name in evaluation.failed else NOT_THERE
                        row.append(Cell(why if name == options.metrics[0] else NOTHING))
                    elif not len(scored):
                        row.append(Cell(NOTHING))
                    elif name not in evaluation.kinds:
                        row.append(Cell(LEFT_OUT))
                    else:
                        row.append(
                            Cell(f"{scored[name].iloc[0]:.{MEASURES[name].decimals}f}", marks[name].get(model.name))
                        )
                    if name in compared:
                        known = quotes[model.name, name, dataset, compression]
                        row += _beside(known, scored, name, caveats)
        if compared:
            sources = dict.fromkeys(quote.source for quote in quotes.values() if quote)
            table.notes.append(f"Published: {'; '.join(sources)}. Difference: ours less the published figure.")
        table.notes += [f"({letter}) {caveat}." for caveat, letter in caveats.items()]
        tables.append(table)
    tables[-1].notes += [f"{name} failed: {why}." for name, why in evaluation.failed.items()]
    tables[-1].notes += findings(options)
    return tables


def _beside(known: Quoted | None, scored: pd.DataFrame, name: str, caveats: dict[str, str]) -> list[Cell]:
    """The published figure, with the letter of its caveat, and ours minus the published one."""
    if known is None:
        return [Cell(NOTHING), Cell(NOTHING)]
    letter = ""
    if known.caveat:
        letter = f" ({caveats.setdefault(known.caveat, chr(ord('a') + len(caveats)))})"
    there = len(scored) and not math.isnan(scored[name].iloc[0]) and known.comparable
    difference = f"{scored[name].iloc[0] - known.value:+.{known.decimals}f}" if there else NOTHING
    return [Cell(f"{known.value:.{known.decimals}f}{letter}"), Cell(difference)]


def interval_tables(average: pd.DataFrame, evaluation: Evaluation, options: EvaluationOptions) -> list[Table]:
    """The main tables with the interval of each mean."""
    names = [name for name in options.metrics if name in evaluation.kinds]
    tables: list[Table] = []
    for table, place in _skeletons(average, options) if names else ():
        table.headings += [MEASURES[name].heading for name in names]
        table.title += f": {LEVEL:.0%} intervals"
        if not tables:
            table.caption = [f"Of the mean over the images: percentile bootstrap, {RESAMPLES:,} resamples, seed 0."]
        for (dataset, compression), group in zip(place, table.groups):
            rows = average[(average["dataset"] == dataset) & (average["compression"] == compression)]
            for row, model in zip(group, options.models):
                scored = rows[rows["model"] == model.name]
                for name in names:
                    decimals = MEASURES[name].decimals
                    bounds = [
                        f"{scored[f'{name}_{end}'].iloc[0]:.{decimals}f}" for end in ("low", "high") if len(scored)
                    ]
                    row.append(Cell(" to ".join(bounds) or NOTHING))
        tables.append(table)
    return tables


def cost_table(average: pd.DataFrame, evaluation: Evaluation, options: EvaluationOptions) -> Table:
    """Parameters, FLOPs and seconds of each model."""
    import pandas as pd

    height, width = (side * options.scale for side in megapixel_input(options.scale))
    published = {model.name: quoted_cost(options, model) for model in options.models}
    headings = ["model", "parameters", *(["published (M)"] if any(published.values()) else []), "GFLOPs", "s / image"]
    table = Table("Costs", headings, 1, [[]])
    table.caption = [
        f"GFLOPs: 2 per multiply-add, for an output of {width}×{height} pixels.",
        f"s / image: the network alone, median over the images, on {evaluation.device}.",
    ]
    costs = _costs(average, evaluation).set_index("model")
    for model in options.models:
        cost, known = evaluation.costs[model.name], published[model.name]
        row = [Cell(model.name), Cell(_size(cost, failed=model.name in evaluation.failed))]
        if len(headings) == 5:
            row.append(Cell(NOTHING if known is None else f"{known.parameters:g}"))
        row.append(Cell(NOTHING if cost is None or cost.flops is None else f"{cost.flops / 1e9:,.1f}"))
        spent = float("nan") if cost is None else costs["seconds"].astype(float)[model.name]
        row.append(Cell(NOTHING if pd.isna(spent) else f"{spent:.3g}"))
        table.groups[0].append(row)
    # Named by the published methods, as the network of a row may be smaller.
    seconds = {
        model.published: known.seconds for model in options.models if (known := published[model.name]) is not None
    }
    if seconds:
        table.notes.append(
            "Published seconds, for all 328 images of the paper's five sets on an NVIDIA Titan Xp: "
            f"{', '.join(f'{method} {spent:g}' for method, spent in seconds.items())}."
        )
    return table


def _size(cost: Cost | None, *, failed: bool) -> str:
    if failed:
        return FAILED
    if cost is None:
        return NOT_THERE
    return NOTHING if cost.parameters is None else f"{cost.parameters:,}"


def _costs(average: pd.DataFrame, evaluation: Evaluation) -> pd.DataFrame:
    import pandas as pd

    seconds: pd.Series[float] | dict[str, float]
    seconds = images(evaluation).groupby("model")["seconds"].median() if evaluation.records else {}
    rows = [
        (name, cost and cost.parameters, cost and cost.flops, seconds.get(name))
        for name, cost in evaluation.costs.items()
    ]
    return pd.DataFrame(rows, columns=["model", "parameters", "flops", "seconds"]).astype(
        {"parameters": "Int64", "flops": "Int64"}
    )


def _skeletons(
    average: pd.DataFrame, options: EvaluationOptions, *extra: str
) -> list[tuple[Table, list[tuple[str, str]]]]:
    """Tables with the text columns of every row, and the (set, compression) of each group."""
    counts = average.groupby("dataset")["images"].first().to_dict() if len(average) else {}
    sets = {dataset.name: dataset for dataset in options.datasets}

    def name(dataset: str) -> str:
        return f"{dataset} ({counts[dataset]} image{'s' * (counts[dataset] > 1)})" if dataset in counts else dataset

    wanted = [(dataset.name, spec) for dataset in options.datasets for spec in rows_of(dataset)]
    if len(wanted) == len(options.datasets) > 1:
        split = [(options.name, ["set"], wanted)]
    else:
        split = [(name(d.name), [], [place for place in wanted if place[0] == d.name]) for d in options.datasets]
    found = []
    for title, first, places in split:
        table = Table(title, [*first, "compression", "model", *extra], len(first) + 2)
        for dataset, compression in places:
            words = [Cell(name(dataset))] * len(first) + [Cell(sets[dataset].name_of(compression))]
            table.groups.append(
                [[*(words if not row else [Cell()] * len(words)), Cell(m.name)] for row, m in enumerate(options.models)]
            )
        found.append((table, places))
    return found


def _marks(rows: pd.DataFrame, name: str) -> dict[str, Mark]:
    """The models with the best printed score in these rows and, of three or more models, the second best."""
    printed = {
        row["model"]: round(row[name], MEASURES[name].decimals)
        for _, row in rows.iterrows()
        if not math.isnan(row[name])
    }
    order = sorted(set(printed.values()), reverse=MEASURES[name].more_is_better)
    if len(printed) < 2:
        return {}
    marked: list[Mark] = ["best", "second"] if len(printed) > 2 else ["best"]
    return {model: mark for mark, value in zip(marked, order) for model, figure in printed.items() if figure == value}
