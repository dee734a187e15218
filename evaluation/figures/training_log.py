"""Losses, learning rates and validation scores of a training, read from its TensorBoard files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from utils.errors import UserError
from utils.options.sources import read_with_bases

Points = list[tuple[int, float]]
"""(iteration of the stage, value), ascending."""


@dataclass(frozen=True)
class Stage:
    """One stage of a run; `rates` by network (`lr`, or `lr_generator` and so on), `scores` by set and compression."""

    name: str
    loss: Points
    rates: dict[str, Points]
    scores: dict[str, Points]

    @property
    def length(self) -> int:
        """Number of the last logged iteration."""
        return max(points[-1][0] for points in (self.loss, *self.rates.values(), *self.scores.values()) if points)


@dataclass(frozen=True)
class Run:
    """A run: the name of its folder, and its stages in order."""

    name: str
    stages: tuple[Stage, ...]


def read_run(folder: Path) -> Run:
    """Read a run from its folder, `experiments/<name>`: every stage with logged values.

    Values that a stopped run logged after the checkpoint it later resumed from are left out, as in TensorBoard.

    Raises:
        UserError: the folder is missing, has no stage, or nothing was logged yet.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the folder of a run, experiments/<name>")
    found = [path.parent for path in sorted(folder.glob("*/tensorboard")) if path.is_dir()]
    if not found:
        raise UserError(f"{folder}: no stage with a tensorboard/ folder in it; give the folder of a run")
    order = _order(found[0] / "options.yml")
    found.sort(key=lambda path: order.index(path.name) if path.name in order else len(order))
    stages = [stage for path in found if (stage := _stage(path)) is not None]
    if not stages:
        raise UserError(f"{folder}: nothing logged yet; wait for the first `log_every` iterations")
    return Run(folder.resolve().name, tuple(stages))


def _order(path: Path) -> list[str]:
    """Names of the stages in the order of the run's options; none if that file is missing."""
    if not path.is_file():
        return []
    stages = read_with_bases(path)[0].get("stages")
    named = [stage.get("name") for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    return [name for name in named if isinstance(name, str)]


def _stage(folder: Path) -> Stage | None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # 0 keeps every point. Pictures and the rest are not needed, so 1: 0 would keep all of them.
    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 1, "tensors": 1})
    events.Reload()
    tags = events.Tags()["scalars"]

    def points(tag: str) -> Points:
        return [(event.step, event.value) for event in events.Scalars(tag)]

    if not tags:
        return None
    rates = {tag.removeprefix("train/"): points(tag) for tag in tags if tag.startswith("train/lr")}
    scores = {tag.removeprefix("psnr_y/").replace("/", " "): points(tag) for tag in tags if tag.startswith("psnr_y/")}
    return Stage(folder.name, points("train/loss") if "train/loss" in tags else [], rates, scores)
