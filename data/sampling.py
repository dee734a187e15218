"""Samples of each iteration, as pure functions of (seed, sample number), without a state.

Sample k of a run is the same for any number of workers, ranks and resumes. Iteration i of a stage consumes the samples
`[first + i · batch_size, first + (i + 1) · batch_size)`, where `first` is the number that the stages before consumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

_ORDER, _SAMPLE = 0, 1  # streams of the counter-based generator, so that both get different numbers


def sample_generator(seed: int, k: int) -> np.random.Generator:
    """The random numbers of sample k: its compression, crop, flips and rotation."""
    return np.random.Generator(np.random.Philox(key=[seed, k], counter=[0, 0, 0, _SAMPLE]))


@lru_cache(maxsize=2)  # the current epoch, and the next one for a worker that prefetches
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, _ORDER])).permutation(count)


def image_of_sample(seed: int, k: int, count: int) -> int:
    """The image (0 … count − 1) of sample k: every image is used once before any is repeated."""
    return int(_order(seed, k // count, count)[k % count])


def set_of_sample(k: int, weights: Sequence[float]) -> tuple[int, int]:
    """Which of several sets sample k comes from, and how many samples before it come from the same one.

    The sets take turns: of any n samples in a row, a set gets its share of them but for less than the number of sets.
    """
    for place in range(len(weights) - 1):
        share = _share(weights[place], sum(weights[place:]))
        before = k * share.numerator // share.denominator
        if (k + 1) * share.numerator // share.denominator > before:
            return place, before
        k -= before
    return len(weights) - 1, k


@lru_cache
def _share(weight: float, total: float) -> Fraction:
    return Fraction(weight / total).limit_denominator(1_000_000)  # whole numbers: no k is too large for them


class IterationSampler:
    """Yields, for each micro-batch from iteration `start` to `stop`, the sample numbers of this rank.

    Args:
        batch_size: samples of one iteration over all ranks and micro-batches.
        accumulate: micro-batches of an iteration.
        rank, ranks: number of this process, and of processes.
        first: first sample of iteration 0.

    Raises:
        ValueError: `batch_size` is not a multiple of `accumulate · ranks`.
    """

    def __init__(
        self, start: int, stop: int, batch_size: int, accumulate: int = 1, rank: int = 0, ranks: int = 1, first: int = 0
    ):
        if batch_size % (accumulate * ranks):
            raise ValueError(f"batch_size {batch_size} is not a multiple of {accumulate} micro-batches × {ranks} ranks")
        self.start, self.stop, self.batch_size = start, stop, batch_size
        self.share = batch_size // (accumulate * ranks)
        self.accumulate, self.rank, self.ranks, self.first = accumulate, rank, ranks, first

    def __len__(self) -> int:
        return max(0, self.stop - self.start) * self.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        for iteration in range(self.start, self.stop):
            for micro in range(self.accumulate):
                k = self.first + iteration * self.batch_size + (micro * self.ranks + self.rank) * self.share
                yield list(range(k, k + self.share))
