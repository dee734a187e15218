"""Restore and score: every model on every image of every set at every compression."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from data.evaluation_sets import EvaluationItem, EvaluationPair, all_items, load
from evaluation.complexity import flops_of_a_megapixel
from evaluation.inference import restore
from evaluation.loading import load_model, pick_device
from evaluation.measures import Measurer, smallest_side
from evaluation.metrics import MetricError
from evaluation.options import EvaluationOptions
from evaluation.pipeline import pipelined
from evaluation.plan import Task, device_name, image_path, place, plan
from evaluation.ranks import Ranks
from evaluation.score_log import Record, ScoreLog, stamp
from models import Generator, count_parameters
from utils.files import locked
from utils.images import image_size, read_image, write_png


@dataclass(frozen=True)
class ImageScore:
    """One restored image: figures by name, bits per LR pixel (None: not encoded here), seconds of the network.

    `at`: when the figures were taken, in seconds since 1970.
    """

    model: str
    dataset: str
    compression: str
    image: str
    scores: dict[str, float]
    bits_per_pixel: float | None
    seconds: float
    at: float = 0.0


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
class Restored:
    """What a network made of a task, now or earlier, before it is saved and scored."""

    task: Task
    model: str
    sr: np.ndarray
    pair: EvaluationPair
    seconds: float


def evaluate(options: EvaluationOptions) -> Evaluation | None:
    """Everything that `options` name; restored images go to `<folder>/images/<model>/<set>/<compression>/`.

    Pictures and figures of an earlier run are taken over where nothing that determines them has changed
    (`evaluation.score_log`); those made here are logged as they are made. Under `torchrun` the images are dealt to the
    processes, and all but rank 0 return None.

    Raises:
        UserError, WeightsError, LossWeightsError: before anything slow, for options, folders and files that do not fit.
    """
    items = list(all_items(options.datasets, options.scale))
    _check_sizes(items, options)
    with Ranks() as ranks, ExitStack() as held:
        device = ranks.device(pick_device(options.device))
        generators = {model.name: load_model(model, options.scale, device) for model in options.models}
        there = {name: generator for name, generator in generators.items() if generator is not None}
        for model in options.models if ranks.is_main else ():
            if generators[model.name] is None:
                print(f"{model.name}: {model.weight_file} is not there; its row says so", file=sys.stderr)
        measurer = Measurer(options, device, say=ranks.is_main)
        log = ScoreLog(options.folder / "scores", ranks.rank)
        if ranks.is_main:
            held.enter_context(locked(options.folder / ".lock", wait=False))
        tasks, known = ranks.from_main(lambda: plan(items, there, options, measurer, log.read(), device))
        made = ranks.gather(_run(tasks[ranks.rank :: ranks.count], there, options, measurer, log, device, ranks))
        if not ranks.is_main:
            return None
    records = {record.place: record for record in [*known, *made]}
    scores = [
        ImageScore(
            name,
            item.set_name,
            item.compression,
            item.image,
            {measure: records[place(name, item)].scores[kind] for measure, kind in measurer.kinds.items()},
            records[place(name, item)].bits_per_pixel,
            records[place(name, item)].seconds,
            records[place(name, item)].at,
        )
        for item in items
        for name in there
    ]
    costs = {name: None if generator is None else _cost(generator) for name, generator in generators.items()}
    return Evaluation(scores, costs, measurer.missing, device_name(device))


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

    def loaded(task: Task) -> tuple[EvaluationPair, dict[str, np.ndarray]]:
        pictures = {name: read_image(image_path(options, name, task.item)) for name in task.whole}
        return load(task.item, options.scale), pictures

    def restored(task: Task, found: tuple[EvaluationPair, dict[str, np.ndarray]]) -> Iterator[Restored]:
        pair, pictures = found
        for name in task.keys:
            if name in pictures:
                yield Restored(task, name, pictures[name], pair, task.earlier[name].seconds)
                continue
            started = time.perf_counter()
            sr = restore(generators[name], pair.lr, device)
            yield Restored(task, name, sr, pair, time.perf_counter() - started)

    def finish(result: Restored) -> Record:
        task, name = result.task, result.model
        path, whole = image_path(options, name, task.item), name in task.whole
        if options.save_images and not whole:
            write_png(path, result.sr)
        earlier = task.earlier.get(name)
        record = Record(
            task.keys[name],
            place(name, task.item),
            {**(earlier.scores if earlier else {}), **measurer(result.sr, result.pair.hr)},
            result.pair.bits_per_pixel,
            result.seconds,
            stamp(path) if options.save_images or whole else None,
        )
        return log.append(record, replaces=earlier)

    records = []
    total = sum(len(task.keys) for task in tasks)
    with tqdm(total=total, desc=options.name, unit="image", disable=None if ranks.is_main else True) as bar:
        for record in pipelined(tasks, loaded, restored, finish):
            records.append(record)
            bar.update()
    return records
