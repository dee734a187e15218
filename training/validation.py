"""Scores while training: Y-PSNR and SSIM of each validation set and compression, beside bicubic's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from data.evaluation_sets import EvaluationItem, all_items, load
from data.options import EvaluationSetOptions
from evaluation.inference import restore
from evaluation.metrics import psnr_y, ssim_y
from models import Bicubic, Generator

if TYPE_CHECKING:
    from training.runtime import Runtime

Key = tuple[str, str]  # set, compression


@dataclass(frozen=True)
class Score:
    """Means over the images of one set at one compression (PSNR in dB)."""

    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float


@dataclass(frozen=True)
class Validation:
    """Scores by (set, compression), and the first image of each for a look: [bicubic, restored, hr], uint8."""

    scores: dict[Key, Score]
    pictures: dict[Key, list[np.ndarray]]

    @property
    def mean_psnr(self) -> float:
        """Mean Y-PSNR over sets and compressions: what best weights are ranked by."""
        return sum(score.psnr for score in self.scores.values()) / len(self.scores)


class Validator:
    """Scores a generator on the validation sets; the images are shared out to the processes.

    Raises (at construction, from file headers alone): ImageError, EvaluationSetError.
    """

    def __init__(self, sets: tuple[EvaluationSetOptions, ...], scale: int, convention: str, runtime: Runtime):
        self.items: list[EvaluationItem] = list(all_items(sets, scale))
        self.scale, self.convention, self.runtime = scale, convention, runtime
        self.bicubic = Bicubic(Bicubic.Options(scale=scale))
        self._bicubic_scores: dict[EvaluationItem, tuple[float, float]] = {}

    def __call__(self, generator: Generator) -> Validation:
        """Scores of `generator` (left in the mode it was in); the same on every process."""
        training = generator.training
        generator.eval()
        mine, pictures = [], {}
        for index in range(self.runtime.rank, len(self.items), self.runtime.ranks):
            item = self.items[index]
            mine.append((index, *self._score(generator, item, pictures)))
        generator.train(training)
        rows = sorted(self._gather(mine))
        scores: dict[Key, list[tuple[float, ...]]] = {}
        for index, *row in rows:
            item = self.items[index]
            scores.setdefault((item.set_name, item.compression), []).append(tuple(row))
        means = {key: Score(*(float(column) for column in np.mean(rows, axis=0))) for key, rows in scores.items()}
        return Validation(means, pictures)

    def _score(self, generator: Generator, item: EvaluationItem, pictures: dict) -> tuple[float, float, float, float]:
        pair = load(item, self.scale)
        sr = restore(generator, pair.lr, self.runtime.device)
        first = (item.set_name, item.compression) not in pictures
        if item not in self._bicubic_scores or first:
            bicubic = restore(self.bicubic, pair.lr)
            self._bicubic_scores[item] = self._metrics(bicubic, pair.hr)
            if first:
                pictures[item.set_name, item.compression] = [bicubic, sr, pair.hr]
        return (*self._metrics(sr, pair.hr), *self._bicubic_scores[item])

    def _metrics(self, image: np.ndarray, hr: np.ndarray) -> tuple[float, float]:
        border = self.scale if self.scale > 1 else 0
        arguments = image, hr, border, self.convention
        return psnr_y(*arguments), ssim_y(*arguments)

    def _gather(self, rows: list[tuple]) -> list[tuple]:
        if self.runtime.ranks == 1:
            return rows
        gathered: list = [None] * self.runtime.ranks
        torch.distributed.all_gather_object(gathered, rows)
        return [row for part in gathered for row in part]
