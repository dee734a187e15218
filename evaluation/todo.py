"""The remaining work of an evaluation: images to restore, images to score, and scores to reuse."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from data.codecs import parse
from data.evaluation_sets import EvaluationItem
from evaluation.options import EvaluationOptions
from evaluation.rows import Row
from evaluation.score_log import Record, key_of
from metrics.measures import Measurer
from utils.files import sha256_of


@dataclass(frozen=True)
class Task:
    """One image at one compression.

    Attributes:
        records: the incomplete record of each model with work left. If its `png` is set, that picture can be scored
            without being restored again.
    """

    item: EvaluationItem
    records: dict[str, Record] = field(default_factory=dict)


def place(model: str, item: EvaluationItem) -> str:
    """Path of a restored image below the folder of images."""
    return f"{model}/{item.set_name}/{item.compression.replace('>', '+').replace(':', '-')}/{item.image}.png"


def image_path(options: EvaluationOptions, model: str, item: EvaluationItem) -> Path:
    """Path of a restored image."""
    return options.folder / "images" / place(model, item)


def plan(
    items: list[EvaluationItem],
    rows: dict[str, Row],
    options: EvaluationOptions,
    measurer: Measurer,
    records: dict[str, Record],
) -> tuple[list[Task], list[Record]]:
    """The tasks, and the records that are complete; reports on stderr how many are reused and how many are not."""
    places = {record.place for record in records.values()}
    facts = _Facts()
    tasks, known, changed = [], [], 0
    for item in items:
        task = Task(item)
        for name, row in rows.items():
            if not row.takes(item):
                continue
            begun = Record(key_of(facts(row, item)), place(name, item))
            record = records.get(begun.key)
            if record is None:
                task.records[name] = begun
                changed += begun.place in places
                continue
            has_picture = record.has_picture(image_path(options, name, item))
            if record.has(measurer.kinds.values()) and (has_picture or not options.save_images):
                known.append(record)
            elif has_picture and options.scored == "image":
                task.records[name] = record
            else:  # also where output is scored before it is rounded, which the picture does not hold
                task.records[name] = replace(record, png=None)
        if task.records:
            tasks.append(task)
    if known:
        every = sum(row.takes(item) for item in items for row in rows.values())
        print(f"{len(known)} of {every} images are restored and scored already", file=sys.stderr)
    if changed:
        print(f"{changed} images are made anew: their weights, source or encoder have changed", file=sys.stderr)
    return tasks, known


class _Facts:
    """Everything that determines the picture of a row and an item, as plain data."""

    def __init__(self) -> None:
        self.file, self.encoder = cache(sha256_of), cache(_encoder)

    def __call__(self, row: Row, item: EvaluationItem) -> dict[str, Any]:
        if item.lr_path:
            made_of = {"lr": self.file(item.lr_path)}
        else:
            made_of = {"encoder": self.encoder(item.compression, item.grey is not None)}
        if item.grey:
            made_of["grey"] = item.grey
        return {**row.facts(item), **made_of, "hr": self.file(item.hr_path), "place": place(row.name, item)}


def _encoder(compression: str, grey: bool) -> str:
    codec = parse(compression)
    return (codec.of_grey() if grey else codec).describe()
