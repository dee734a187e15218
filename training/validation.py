"""Validation: scores of each set and compression, beside those of bicubic or, at scale 1, of the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field

from data.evaluation_sets import EvaluationItem, EvaluationPair, all_items, load
from data.options import EvaluationSetOptions
from inference.whole_image import restore
from metrics.lpips import Lpips
from metrics.psnr_ssim import psnr_rgb, psnr_y, ssim_y
from models import Bicubic, Generator
from utils.cli import one_line
from utils.errors import UserError
from utils.images import read_image
from utils.section import Section

if TYPE_CHECKING:
    from training.runtime import Runtime

Key = tuple[str, str]  # set, compression
_SMALL = 64  # LR pixels a side: smaller images are scored in advance, in case codec, network or metric refuse them


class ValidationOptions(Section):
    """Validation during training."""

    every: int = Field(default=5000, ge=1)
    """Iterations between validations; the last iteration is always validated."""
    convention: Literal["matlab", "edsr", "cisr_psi"] = "matlab"
    """Metric convention (docs/evaluation.md)."""
    rank_by: Literal["psnr_y", "psnr_rgb", "lpips"] = "psnr_y"
    """The metric that decides which weights are best. `lpips` needs AlexNet's weights and is measured only if it ranks;
    RGB-PSNR is also measured at scale 1."""
    lpips_range: Literal["standard", "unit_range"] = "standard"
    """`standard`: LPIPS gets images in [−1, 1], as defined; `unit_range`: images in [0, 1], a mistake behind some
    published figures."""
    lpips_weights: Path | None = None
    """File with torchvision's `features.N.*` of AlexNet; null: torchvision's own file, in `checkpoints/` or torch's
    cache, else downloaded."""

    @property
    def ranking(self) -> str:
        """Name of the ranking score; scores of another name cannot be compared with it."""
        return f"{self.rank_by} {self.lpips_range}" if self.rank_by == "lpips" else self.rank_by


@dataclass(frozen=True)
class Score:
    """Means over the images of one set at one compression, by metric: `psnr_y` (dB), `ssim_y`, `psnr_rgb`, `lpips`."""

    restored: dict[str, float]
    before: dict[str, float]
    """Scores of the image upscaled by bicubic, at scale 1 of the input."""


@dataclass(frozen=True)
class Validation:
    """Scores by (set, compression), and the first image of each as [before, restored, hr], uint8.

    `before_name`: `bicubic` or `input`, the name of `before`.
    """

    scores: dict[Key, Score]
    pictures: dict[Key, list[np.ndarray]]
    before_name: str

    def rank(self, metric: str) -> float:
        """The mean of a metric over sets and compressions, negated if lower is better."""
        mean = sum(score.restored[metric] for score in self.scores.values()) / len(self.scores)
        return -mean if metric == "lpips" else mean


class Validator:
    """Scores a generator on the validation sets; each process scores a share of the images.

    Raises (at construction, from file headers alone): ImageError, PairError, EvaluationSetError, and
    LossWeightsError where LPIPS is asked for and cannot be had.
    """

    def __init__(
        self, sets: tuple[EvaluationSetOptions, ...], scale: int, options: ValidationOptions, runtime: Runtime
    ):
        self.items: list[EvaluationItem] = list(all_items(sets, scale))
        self.scale, self.convention, self.runtime = scale, options.convention, runtime
        self.metrics = ["psnr_y", "ssim_y"]
        if scale == 1 or options.rank_by == "psnr_rgb":
            self.metrics.append("psnr_rgb")
        if options.rank_by == "lpips" and self.items:
            self.metrics.append("lpips")
            self.lpips = Lpips("alex", options.lpips_range, options.lpips_weights, runtime.device)
        self.bicubic = Bicubic(Bicubic.Options(scale=scale))
        self._before_scores: dict[EvaluationItem, list[float]] = {}

    def check(self, build: Callable[[], Generator]) -> None:
        """Read every image completely, and score the small ones as a validation would.

        Args:
            build: makes a network like the one to validate; called only if there are small images.

        Raises:
            UserError: an image is damaged, or too small for the scale, codec, network or metric; names it.
        """
        sides: dict[Path, int] = {}
        generator: Generator | None = None
        for item in self.items[self.runtime.rank :: self.runtime.ranks]:
            paths = [path for path in (item.hr_path, item.lr_path) if path is not None]
            for path in paths:
                if path not in sides:
                    sides[path] = min(read_image(path).shape[:2])
            if min(sides[path] for path in paths) < _SMALL * self.scale:
                generator = generator or self.runtime.place(build()).eval()
                try:
                    self._score(generator, item, {})
                except (RuntimeError, ValueError) as error:
                    raise UserError(f"{item.hr_path}: too small to be validated ({one_line(error)[:200]})") from None

    def __call__(self, generator: Generator) -> Validation:
        """Scores of `generator`, whose training mode is restored; the same on every process.

        Raises:
            UserError: on every process, if an image has become unreadable; names it.
        """
        training = generator.training
        generator.eval()
        pictures: dict[Key, list[np.ndarray]] = {}
        try:
            means = self._means(lambda item: self._score(generator, item, pictures))
        finally:
            generator.train(training)
        count = len(self.metrics)
        scores = {
            key: Score(dict(zip(self.metrics, row)), dict(zip(self.metrics, row[count:]))) for key, row in means.items()
        }
        return Validation(scores, pictures, "bicubic" if self.scale > 1 else "input")

    def means(self, measure: Callable[[EvaluationPair], list[float]]) -> dict[Key, list[float]]:
        """Means of `measure` over the images of each set and compression; the same on every process."""
        return self._means(lambda item: measure(load(item, self.scale)))

    def _means(self, measure: Callable[[EvaluationItem], list[float]]) -> dict[Key, list[float]]:
        mine, failure = [], None
        for index in range(self.runtime.rank, len(self.items), self.runtime.ranks):
            try:
                mine.append((index, *measure(self.items[index])))
            except UserError as error:
                failure = error
                break
        grouped: dict[Key, list[list[float]]] = {}
        for index, *row in sorted(self._gather(mine, failure)):
            item = self.items[index]
            grouped.setdefault((item.set_name, item.compression), []).append(row)
        return {key: np.mean(rows, axis=0).tolist() for key, rows in grouped.items()}

    def _score(self, generator: Generator, item: EvaluationItem, pictures: dict) -> list[float]:
        """The metrics of the restored image, then those of the image before; errors name the file."""
        try:
            return self._measured(generator, item, pictures)
        except UserError as error:
            named = any(str(path) in str(error) for path in (item.hr_path, item.lr_path) if path is not None)
            raise error if named else UserError(f"{item.hr_path}: {error}") from None

    def _measured(self, generator: Generator, item: EvaluationItem, pictures: dict) -> list[float]:
        pair = load(item, self.scale)
        sr = restore(generator, pair.lr, self.runtime.device, file=pair.file)
        first = (item.set_name, item.compression) not in pictures
        if item not in self._before_scores or first:
            before = restore(self.bicubic, pair.lr)
            self._before_scores[item] = self._measure(before, pair.hr, item)
            if first:
                pictures[item.set_name, item.compression] = [before, sr, pair.hr]
        return [*self._measure(sr, pair.hr, item), *self._before_scores[item]]

    def _measure(self, image: np.ndarray, hr: np.ndarray, item: EvaluationItem) -> list[float]:
        convention = "grey" if item.grey else self.convention
        arguments = image, hr, self.scale if self.scale > 1 else 0, convention
        measured = {"psnr_y": lambda: psnr_y(*arguments), "ssim_y": lambda: ssim_y(*arguments)}
        # Without a border, as is usual in quality enhancement.
        measured |= {"psnr_rgb": lambda: psnr_rgb(image, hr), "lpips": lambda: self.lpips(image, hr)}
        return [measured[metric]() for metric in self.metrics]

    def _gather(self, rows: list[tuple], failure: UserError | None) -> list[tuple]:
        """The rows of all processes, or the first failure of any."""
        gathered: list = [(rows, failure)]
        if self.runtime.ranks > 1:
            gathered *= self.runtime.ranks
            torch.distributed.all_gather_object(gathered, (rows, failure))
        for _, failure in gathered:
            if failure is not None:
                raise failure
        return [row for part, _ in gathered for row in part]
