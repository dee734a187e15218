"""Restore and score: every model on every image of every set at every compression."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from data.codecs import parse
from data.evaluation_sets import EvaluationItem, EvaluationPair, all_items, load
from evaluation.complexity import flops_of_a_megapixel
from evaluation.inference import restore
from evaluation.measures import Measurer, smallest_side
from evaluation.metrics import MetricError
from evaluation.options import EvaluationOptions, ModelOptions
from evaluation.pipeline import pipelined
from evaluation.ranks import Ranks
from evaluation.score_log import Record, ScoreLog, key_of, stamp
from models import Generator, build_generator, count_parameters, options_in_file
from utils.errors import UserError
from utils.files import locked, sha256_of
from utils.images import image_size, write_png


@dataclass(frozen=True)
class ImageScore:
    """One restored image: figures by name, bits per LR pixel (None: not encoded here), seconds of the network."""

    model: str
    dataset: str
    compression: str
    image: str
    scores: dict[str, float]
    bits_per_pixel: float | None
    seconds: float


@dataclass(frozen=True)
class Cost:
    """Size of a model, and floating-point operations for an output of a megapixel (None: cannot be counted)."""

    parameters: int
    flops: int | None


@dataclass(frozen=True)
class Evaluation:
    """All scores, what each model costs (None: its weights are not there), and the metrics that are left out."""

    scores: list[ImageScore]
    costs: dict[str, Cost | None]
    left_out: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class Task:
    """One image at one compression, and the models to run on it: the key of each one's record by name."""

    item: EvaluationItem
    keys: dict[str, str]


@dataclass(frozen=True)
class Restored:
    """What a network made of a task, before it is saved and scored."""

    task: Task
    model: str
    sr: np.ndarray
    pair: EvaluationPair
    seconds: float


def evaluate(options: EvaluationOptions) -> Evaluation | None:
    """Everything that `options` name; restored images go to `<folder>/images/<model>/<set>/<compression>/`.

    Figures that an earlier run has left in `<folder>/scores/` are taken over where nothing that determines them has
    changed (`evaluation.score_log`); those made here are added as they are made. Under `torchrun` the images are dealt
    to the processes, and all but rank 0 return None.

    Raises:
        UserError, WeightsError, LossWeightsError: before anything slow, for options, folders and files that do not fit.
    """
    items = list(all_items(options.datasets, options.scale))
    _check_sizes(items, options)
    ranks = Ranks()
    device = ranks.device(pick_device(options.device))
    generators = {model.name: _load(model, options.scale, device) for model in options.models}
    there = {name: generator for name, generator in generators.items() if generator is not None}
    for model in options.models if ranks.is_main else ():
        if generators[model.name] is None:
            print(f"{model.name}: {model.weight_file} is not there; its row says so", file=sys.stderr)
    measurer = Measurer(options, device, say=ranks.is_main)
    log = ScoreLog(options.folder / "scores", ranks.rank)
    with ExitStack() as held:
        if ranks.is_main:
            held.enter_context(locked(options.folder / ".lock", wait=False))
        tasks, known = ranks.from_main(lambda: _plan(items, there, options, measurer, log, device))
        made = ranks.gather(_run(tasks[ranks.rank :: ranks.count], there, options, measurer, log, device, ranks))
        if not ranks.is_main:
            return None
    records = {record.place: record for record in [*known, *made]}
    scores = [
        ImageScore(
            name, item.set_name, item.compression, item.image, record.scores, record.bits_per_pixel, record.seconds
        )
        for item in items
        for name in there
        for record in [records[place(name, item)]]
    ]
    costs = {name: None if generator is None else _cost(generator) for name, generator in generators.items()}
    return Evaluation(scores, costs, measurer.missing, device_name(device))


def place(model: str, item: EvaluationItem) -> str:
    """Path of a restored image below the folder of images."""
    return f"{model}/{item.set_name}/{item.compression.replace('>', '+')}/{item.image}.png"


def image_path(options: EvaluationOptions, model: str, item: EvaluationItem) -> Path:
    """Where a restored image is written."""
    return options.folder / "images" / place(model, item)


def pick_device(choice: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` mean here.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda and torch sees no CUDA device; install a CUDA build or use auto")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """`CPU`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def _load(model: ModelOptions, scale: int, device: torch.device) -> Generator | None:
    if model.weight_file is not None and not model.weight_file.is_file():
        return None
    generator_options = model.generator or options_in_file(model.weights)
    if generator_options.scale != scale:
        raise UserError(
            f"model {model.name!r}: {model.weights} is for scale {generator_options.scale}, scale is {scale}"
        )
    return build_generator(generator_options).eval().to(device)


def _cost(generator: Generator) -> Cost:
    return Cost(count_parameters(generator), flops_of_a_megapixel(generator.options))


def _check_sizes(items: list[EvaluationItem], options: EvaluationOptions) -> None:
    """Refuse what could not be scored, before anything is restored; from file headers."""
    needed = smallest_side(options)
    for path in dict.fromkeys(item.hr_path for item in items):
        height, width = (side - side % options.scale for side in image_size(path))
        if min(height, width) < needed:
            raise MetricError(
                f"{path}: {width}×{height} pixels, and {', '.join(options.metrics)} need {needed} a side "
                f"(border {options.shaved}); leave the image out"
            )


def _plan(
    items: list[EvaluationItem],
    generators: dict[str, Generator],
    options: EvaluationOptions,
    measurer: Measurer,
    log: ScoreLog,
    device: torch.device,
) -> tuple[list[Task], list[Record]]:
    """What is to be done, and the records of what is there already."""
    records = log.read()
    earlier = {record.place for record in records.values()}
    facts = _Facts(options, generators, device)
    tasks, known, stale = [], [], 0
    for item in items:
        keys = {name: key_of(facts(name, item)) for name in generators}
        for name, key in keys.copy().items():
            png = image_path(options, name, item) if options.save_images else None
            if key in records and records[key].is_enough(measurer.names, png):
                known.append(records[keys.pop(name)])
            else:
                stale += key not in records and place(name, item) in earlier
        if keys:
            tasks.append(Task(item, keys))
    if known:
        print(f"{len(known)} of {len(items) * len(generators)} images are restored and scored already", file=sys.stderr)
    if stale:
        print(f"{stale} images are made anew: their weights, images or options have changed", file=sys.stderr)
    return tasks, known


class _Facts:
    """Everything that determines the figures of a model on an item, as plain data."""

    def __init__(self, options: EvaluationOptions, generators: dict[str, Generator], device: torch.device):
        self.common: dict[str, Any] = {
            "convention": options.convention,
            "border": options.shaved,
            "lpips": str(options.lpips_weights),
            "device": device_name(device),
        }
        self.models = {
            name: {
                "generator": generator.options.model_dump(mode="json", exclude={"weights"}),
                "weights": _digest(generator),
            }
            for name, generator in generators.items()
        }
        self.file, self.encoder = cache(sha256_of), cache(lambda spec: parse(spec).describe())

    def __call__(self, model: str, item: EvaluationItem) -> dict[str, Any]:
        made_of = {"lr": self.file(item.lr_path)} if item.lr_path else {"encoder": self.encoder(item.compression)}
        return {
            **self.common,
            **self.models[model],
            **made_of,
            "hr": self.file(item.hr_path),
            "place": place(model, item),
        }


def _digest(generator: Generator) -> str:
    """SHA-256 of the weights as they were loaded, whatever file format they came in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def _run(
    tasks: list[Task],
    generators: dict[str, Generator],
    options: EvaluationOptions,
    measurer: Measurer,
    log: ScoreLog,
    device: torch.device,
    ranks: Ranks,
) -> list[Record]:
    """The records of these tasks; each is in the log once it is made."""

    def restored(task: Task, pair: EvaluationPair) -> Iterator[Restored]:
        for name in task.keys:
            started = time.perf_counter()
            sr = restore(generators[name], pair.lr, device)
            yield Restored(task, name, sr, pair, time.perf_counter() - started)

    def finish(result: Restored) -> Record:
        item, path = result.task.item, image_path(options, result.model, result.task.item)
        if options.save_images:
            write_png(path, result.sr)
        record = Record(
            result.task.keys[result.model],
            place(result.model, item),
            measurer(result.sr, result.pair.hr),
            result.pair.bits_per_pixel,
            result.seconds,
            stamp(path) if options.save_images else None,
        )
        log.append(record)
        return record

    records = []
    total = sum(len(task.keys) for task in tasks)
    with tqdm(total=total, desc=options.name, unit="image", disable=None if ranks.is_main else True) as bar:
        for record in pipelined(tasks, lambda task: load(task.item, options.scale), restored, finish):
            records.append(record)
            bar.update()
    return records
