"""Evaluations with made-up scores, and what their tables say."""

import re

from data.evaluation_sets import EvaluationItem
from evaluation.evaluate import Cost, Evaluation
from evaluation.options import EvaluationOptions
from evaluation.score_log import Record
from evaluation.tables.averages import averages
from evaluation.tables.build import main_tables
from utils.options import validate

BICUBIC = {"type": "bicubic", "scale": 2}


def options(models=(), compressions=("jpeg10",), sets=("B100",), **values):
    return validate(
        {
            "name": "table",
            "scale": 2,
            "convention": "edsr",
            "models": [{"name": "Bicubic", "generator": BICUBIC}, *models],
            "datasets": [{"name": name, "hr": "nowhere", "compressions": list(compressions)} for name in sets],
            **values,
        },
        EvaluationOptions,
        "test",
    )


def model(name, **values):
    return {"name": name, "generator": {"type": "bicubic", "scale": values.pop("scale", 2)}, **values}


def scored(given, figures, left_out=(), costs=None):
    """An evaluation of two images each; `figures`: model → scores by name, the same at every place."""
    records = {
        EvaluationItem(dataset.name, image, spec, dataset.hr / image, None): {
            name: Record("", "", values, 0.75, 0.5) for name, values in figures.items()
        }
        for dataset in given.datasets
        for spec in dataset.compressions
        for image in ("a", "b")
    }
    kinds = {name: name for name in given.metrics if name not in left_out}
    costs = costs or {m.name: Cost(1_234_567, 2_500_000_000) if m.name in figures else None for m in given.models}
    return Evaluation(records if figures else {}, kinds, costs, "CPU")


def table_of(given, evaluation):
    return main_tables(averages(evaluation, given), evaluation, given)


def rows_of(markdown):
    """The cells of every table row."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.splitlines() if line.startswith("|")]


def y(psnr, ssim):
    return {"psnr_y": psnr, "ssim_y": ssim}
