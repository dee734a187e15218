"""What an evaluation still has to do: pictures to restore, pictures that only need scores, figures taken over."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from data.codecs import parse
from data.evaluation_sets import EvaluationItem
from evaluation.measures import Measurer
from evaluation.options import EvaluationOptions
from evaluation.score_log import Record, key_of
from models import Generator
from utils.files import sha256_of


@dataclass(frozen=True)
class Task:
    """One image at one compression.

    Attributes:
        keys: the models that need something, and the key of each one's record.
        earlier: their records so far, where there are any.
        whole: those of `earlier` whose picture is there: it needs scores alone.
    """

    item: EvaluationItem
    keys: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, Record] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)


def place(model: str, item: EvaluationItem) -> str:
    """Path of a restored image below the folder of images."""
    return f"{model}/{item.set_name}/{item.compression.replace('>', '+')}/{item.image}.png"


def image_path(options: EvaluationOptions, model: str, item: EvaluationItem) -> Path:
    """Where a restored image is written."""
    return options.folder / "images" / place(model, item)


def device_name(device: torch.device) -> str:
    """`CPU`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def plan(
    items: list[EvaluationItem],
    generators: dict[str, Generator],
    options: EvaluationOptions,
    measurer: Measurer,
    records: dict[str, Record],
    device: torch.device,
) -> tuple[list[Task], list[Record]]:
    """What is to be done, and the records that need nothing; says on stderr what is taken over and what is not."""
    places = {record.place for record in records.values()}
    facts = _Facts(generators, options, device)
    tasks, known, changed = [], [], 0
    for item in items:
        task = Task(item)
        for name in generators:
            key, path = key_of(facts(name, item)), image_path(options, name, item)
            record = records.get(key)
            whole = record is not None and record.has_picture(path)
            if record is not None and record.has(measurer.kinds.values()) and (whole or not options.save_images):
                known.append(record)
                continue
            task.keys[name] = key
            if record is not None:
                task.earlier[name] = record
            if whole:
                task.whole.add(name)
            changed += record is None and place(name, item) in places
        if task.keys:
            tasks.append(task)
    if known:
        print(f"{len(known)} of {len(items) * len(generators)} images are restored and scored already", file=sys.stderr)
    if changed:
        print(f"{changed} images are made anew: their weights, source or encoder have changed", file=sys.stderr)
    return tasks, known


class _Facts:
    """Everything that determines what a model makes of an item, as plain data."""

    def __init__(self, generators: dict[str, Generator], options: EvaluationOptions, device: torch.device):
        consistent = {model.name for model in options.models if model.consistency}
        self.models = {
            name: {
                "generator": generator.options.model_dump(mode="json", exclude={"weights"}),
                "weights": _digest(generator),
                "device": device_name(device),
                **({"consistency": True} if name in consistent else {}),
            }
            for name, generator in generators.items()
        }
        self.file, self.encoder = cache(sha256_of), cache(lambda spec: parse(spec).describe())

    def __call__(self, model: str, item: EvaluationItem) -> dict[str, Any]:
        made_of = {"lr": self.file(item.lr_path)} if item.lr_path else {"encoder": self.encoder(item.compression)}
        return {**self.models[model], **made_of, "hr": self.file(item.hr_path), "place": place(model, item)}


def _digest(generator: Generator) -> str:
    """SHA-256 of the weights as they were loaded, whatever file format they came in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
