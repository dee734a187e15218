"""Restore and score: every model on every image of every set at every compression.

A score has two forms: the `Record` that is logged, and the `Cell` that is printed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

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
from metrics.measures import CROPPED_TO, MeasureName, Measurer, smallest_side
from metrics.psnr_ssim import MetricError, Unrounded
from utils.cli import one_line
from utils.files import locked
from utils.images import image_size, read_image, write_png
from utils.pipeline import pipelined
from utils.visible import visible


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        records: the record of each model for each item, both in the order of the options; models without a record and
            items without any are left out.
        kinds: for each metric, its key in `Record.scores` (`Measurer.kinds`); metrics without weights have none.
        costs: the cost of each model; None if its weights are missing.
        device: name of the device that restored the images.
        failed: the reason of each model that failed; failed models have no records.
    """

    records: dict[EvaluationItem, dict[str, Record]]
    kinds: dict[MeasureName, str]
    costs: dict[str, Cost | None]
    device: str
    failed: dict[str, str] = field(default_factory=dict)

    def scores(self, record: Record) -> dict[str, float]:
        """The scores of a record by metric."""
        return {metric: record.scores[kind] for metric, kind in self.kinds.items()}


Piece = tuple[EvaluationItem, Record, np.ndarray | Unrounded, np.ndarray]
"""An item, its record so far, the restored image (not yet saved or scored), and the HR image."""


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
    by_place = {record.place: record for record in [*known, *made]}
    records: dict[EvaluationItem, dict[str, Record]] = {}
    for item in items:
        for name, row in there.items():
            if name not in failed and row.takes(item):
                records.setdefault(item, {})[name] = by_place[place(name, item)]
    costs = {model.name: there[model.name].cost() if model.name in there else None for model in options.models}
    return Evaluation(records, measurer.kinds, costs, device_name(device), failed)


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
        saved = [name for name, record in task.records.items() if record.png is not None]
        pictures = {name: read_image(image_path(options, name, task.item)) for name in saved}
        return load(task.item, options.scale), pictures

    def restored(task: Task, found: tuple[EvaluationPair, dict[str, np.ndarray]]) -> Iterator[Piece]:
        pair, pictures = found
        for name, begun in task.records.items():
            record = replace(begun, bits_per_pixel=pair.bits_per_pixel)
            if name in pictures:
                yield task.item, record, pictures[name], pair.hr
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
            yield task.item, replace(record, seconds=seconds), sr, pair.hr

    def finish(piece: Piece) -> Record:
        item, record, sr, hr = piece
        if options.save_images and record.png is None:
            path = options.folder / "images" / record.place
            write_png(path, sr.rounded() if isinstance(sr, Unrounded) else sr)
            record = replace(record, png=stamp(path))
        scores = record.scores | measurer(sr, hr, grey=item.grey is not None)
        return log.append(replace(record, scores=scores))

    records = []
    total = sum(len(task.records) for task in tasks)
    with tqdm(total=total, desc=options.name, unit="image", disable=None if ranks.is_main else True) as bar:
        for record in pipelined(tasks, loaded, restored, finish):
            records.append(record)
            bar.update()
    return records
