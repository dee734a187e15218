"""Restore and score: every model on every image of every set at every compression."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from data.evaluation_sets import EvaluationItem, EvaluationPair, all_items, load
from data.grey import to_grey
from evaluation.load_models import why_not_there
from evaluation.options import EvaluationOptions
from evaluation.program import ProgramError
from evaluation.ranks import Ranks
from evaluation.rows import Cost, Row, load_row
from evaluation.score_log import Record, ScoreLog, stamp
from evaluation.todo import Task, image_path, place, plan
from inference.devices import device_name, pick_device
from metrics.measures import CROPPED_TO, Measurer, smallest_side
from metrics.psnr_ssim import MetricError, Unrounded
from utils.cli import one_line
from utils.files import locked
from utils.images import image_size, read_image, write_png
from utils.pipeline import pipelined
from utils.visible import visible


@dataclass(frozen=True)
class ImageScore:
    """One restored image: scores by metric, bits per LR pixel (None: not encoded here), seconds of the network.

    `at`: time of the scores, in seconds since 1970.
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
class Evaluation:
    """All scores, the cost of each model (None: its weights are missing), and the metrics without weights.

    `failed`: the reason of each model that failed; failed models have no scores.
    """

    scores: list[ImageScore]
    costs: dict[str, Cost | None]
    left_out: tuple[str, ...]
    device: str
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Restored:
    """An image that a model restored, now or in an earlier run, before it is saved and scored."""

    task: Task
    model: str
    sr: np.ndarray | Unrounded
    pair: EvaluationPair
    seconds: float


def evaluate(options: EvaluationOptions) -> Evaluation | None:
    """Restore and score all images of `options`; images are written to `<folder>/images/<model>/<set>/<compression>/`.

    Images and scores of an earlier run are reused if nothing that determines them has changed (`evaluation.score_log`);
    new scores are logged at once. Under `torchrun` the processes share the images, and all but rank 0 return None.

    Raises:
        UserError, WeightsError, LossWeightsError: before anything slow, for options, folders and files that do not fit.
    """
    items = list(all_items(options.datasets, options.scale))
    _check_sizes(items, options)
    with Ranks() as ranks, ExitStack() as held:
        device = ranks.device(pick_device(options.device))
        there, failed = _rows(options, device, say=ranks.is_main)
        measurer = Measurer(
            options.metrics,
            border=options.shaved,
            convention=options.convention,
            lpips_weights=options.lpips_weights,
            dists_weights=options.dists_weights,
            vgg16_weights=options.vgg16_weights,
            niqe_parameters=options.niqe_parameters,
            scored=options.scored,
            device=device,
            say=ranks.is_main,
        )
        log = ScoreLog(options.folder / "scores", ranks.rank)
        if ranks.is_main:
            held.enter_context(locked(options.folder / ".lock", wait=False))
        tasks, known = ranks.from_main(lambda: plan(items, there, options, measurer, log.read()))
        made = ranks.gather(_run(tasks[ranks.rank :: ranks.count], there, options, measurer, log, ranks, failed))
        failed = dict(ranks.gather(list(failed.items())))
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
        for name, row in there.items()
        if name not in failed and row.takes(item)
    ]
    costs = {model.name: there[model.name].cost() if model.name in there else None for model in options.models}
    return Evaluation(scores, costs, measurer.missing, device_name(device), failed)


def _rows(options: EvaluationOptions, device: torch.device, *, say: bool) -> tuple[dict[str, Row], dict[str, str]]:
    """The rows that can restore, and the reason for each program that is missing."""
    there, failed = {}, {}
    for model in options.models:
        try:
            row = load_row(model, options, device)
        except ProgramError as error:
            failed[model.name] = str(error)
            continue
        if row is not None:
            there[model.name] = row
        elif say:
            print(f"{model.name}: {visible(why_not_there(model))}; its row says so", file=sys.stderr)
    for name, why in failed.items() if say else ():
        print(f"{name}: {one_line(why)}; its row says so", file=sys.stderr)
    return there, failed


def _check_sizes(items: list[EvaluationItem], options: EvaluationOptions) -> None:
    """Refuse what could not be scored, before anything is restored; from file headers."""
    needed, multiple = smallest_side(options.metrics, options.shaved), CROPPED_TO[options.scored]
    for path in dict.fromkeys(item.hr_path for item in items):
        height, width = (side - side % options.scale for side in image_size(path))
        least = min(height, width)
        if least - least % multiple < needed:
            cropped = f", cropped to multiples of {multiple}" if multiple > 1 else ""
            raise MetricError(
                f"{path}: {width}×{height} pixels{cropped}, and {', '.join(options.metrics)} need {needed} a side "
                f"(border {options.shaved}); leave the image out"
            )


def _run(
    tasks: list[Task],
    rows: dict[str, Row],
    options: EvaluationOptions,
    measurer: Measurer,
    log: ScoreLog,
    ranks: Ranks,
    failed: dict[str, str],
) -> list[Record]:
    """Restore and score the tasks; each record is logged at once. Rows that fail are added to `failed`."""

    def loaded(task: Task) -> tuple[EvaluationPair, dict[str, np.ndarray]]:
        pictures = {name: read_image(image_path(options, name, task.item)) for name in task.whole}
        return load(task.item, options.scale), pictures

    def restored(task: Task, found: tuple[EvaluationPair, dict[str, np.ndarray]]) -> Iterator[Restored]:
        pair, pictures = found
        for name in task.keys:
            if name in pictures:
                yield Restored(task, name, pictures[name], pair, task.earlier[name].seconds)
                continue
            if name in failed:
                continue
            try:
                sr, seconds = rows[name].restore(pair)
            except ProgramError as error:
                failed[name] = f"{error}, on {task.item.set_name}/{task.item.image} at {task.item.compression}"
                tqdm.write(f"{name}: {one_line(failed[name])}; its row says so", file=sys.stderr)
                continue
            if task.item.grey is not None:
                assert isinstance(sr, np.ndarray)  # the options refuse grey sets of which unrounded output is scored
                # Of a grey image only Y counts: what a network for colours adds to it is taken out.
                sr = to_grey(sr, "bt601_full", task.item.image)
            yield Restored(task, name, sr, pair, seconds)

    def finish(result: Restored) -> Record:
        task, name = result.task, result.model
        path, whole = image_path(options, name, task.item), name in task.whole
        if options.save_images and not whole:
            write_png(path, result.sr.rounded() if isinstance(result.sr, Unrounded) else result.sr)
        earlier = task.earlier.get(name)
        record = Record(
            task.keys[name],
            place(name, task.item),
            {
                **(earlier.scores if earlier else {}),
                **measurer(result.sr, result.pair.hr, grey=task.item.grey is not None),
            },
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
