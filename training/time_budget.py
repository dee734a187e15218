"""A run that ends by the clock: the place in a stage's schedule is a function of the share of its time that is spent.

With `runtime.minutes` a stage's `iterations` are not counted: they are the scale that its time is read on. When half of
the time is spent, the *place* is half of the iterations, whatever number of them was done; learning rates, the rise of
a loss's weight and everything under `every` take the place where they take the iteration otherwise, and stay pure
functions of it. The stages share the minutes in proportion to their `iterations`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from training.runtime import Runtime

AGREE_EVERY = 10
"""With several processes, iterations between agreeing on the time: they must take the same learning rate."""
SPARE = 1.25
"""What is kept for ending a stage (validation, export, checkpoint): this often what it took the last time."""


class TimeBudget:
    """The clock of a run. `begin` a stage, then read `place` after each `after_iteration`.

    Args:
        minutes: wall clock of all stages together: iterations, validation, saving.
        iterations: of each stage.
        clock: seconds, from any start.
    """

    def __init__(
        self, minutes: float, iterations: Sequence[int], runtime: Runtime, clock: Callable[[], float] = time.monotonic
    ):
        self.minutes, self.iterations, self.runtime, self.clock = minutes, tuple(iterations), runtime, clock
        self.place = 0
        """Where the stage is, 0 … its `iterations`; there its time is over."""
        self.ending: float | None = None
        """Seconds that ending a stage took the last time; None: not measured yet."""
        self._stage, self._before, self._since = 0, 0.0, clock()
        self._iteration_began = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of the run that are spent, those before a resume among them."""
        return self._before + self.clock() - self._since

    def window(self, stage: int) -> tuple[float, float]:
        """Seconds of the run at which a stage begins and ends."""
        total = sum(self.iterations)
        begin, end = (60 * self.minutes * sum(self.iterations[:n]) / total for n in (stage, stage + 1))
        return begin, end

    def begin(self, stage: int) -> None:
        """A stage begins. What the one before left over is given up; where it took too long, one iteration is left."""
        self._stage = stage
        self._before += max(0.0, self.window(stage)[0] - self.elapsed)
        self._iteration_began = self.elapsed
        self.place = min(self._place_now(), self.iterations[stage] - 1)

    def after_iteration(self, iteration: int) -> None:
        """The stage's iteration of this number is done: `place` goes on."""
        if self.runtime.ranks == 1 or iteration % AGREE_EVERY == 0:
            self.place = max(self.place, self._place_now())

    def after_ending(self, seconds: float) -> None:
        """Validation and saving took this long."""
        self.ending = seconds
        self._iteration_began = self.elapsed

    def state(self) -> dict[str, Any]:
        """What a resume needs."""
        return {"minutes": self.minutes, "elapsed": self.elapsed, "ending": self.ending, "place": self.place}

    def resume(self, state: dict[str, Any], stage: int) -> None:
        """Go on in a stage with the time that was left; with other `minutes` the place is found anew."""
        self._before, self._since, self.ending = state["elapsed"], self.clock(), state["ending"]
        self.begin(stage)
        if state["minutes"] == self.minutes:
            self.place = state["place"]

    def _place_now(self) -> int:
        """By the clock, the same on every process; the stage's end where the next iterations would pass it."""
        now = self.elapsed
        elapsed, next_ones, ending = self._of_main([now, now - self._iteration_began, self.ending or 0.0])
        self._iteration_began = now
        begin, end = self.window(self._stage)
        end -= SPARE * ending
        iterations = self.iterations[self._stage]
        if elapsed + next_ones >= end:
            return iterations
        return min(iterations - 1, max(0, int(iterations * (elapsed - begin) / (end - begin))))

    def _of_main(self, values: list[float]) -> list[float]:
        if self.runtime.ranks == 1:
            return values
        sent = torch.tensor(values, dtype=torch.float64, device=self.runtime.device)
        torch.distributed.broadcast(sent, 0)
        return sent.tolist()
