"""A run that ends by the clock: the place in a stage's schedule depends on the share of its time that has passed.

With `runtime.minutes`, `iterations` of a stage is not a count but the scale of its time. When half of the time has
passed, the *place* is half of `iterations`, however many iterations were done. Learning rates, scheduled loss weights
and `every` are pure functions of the place instead of the iteration. The stages share the minutes in proportion to
their `iterations`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from training.runtime import Runtime

AGREE_EVERY = 10
"""With several processes, iterations between synchronisations of the time: all need the same learning rate."""
SPARE = 1.25
"""Time reserved for the end of a stage (validation, export, checkpoint), as a multiple of the last measured time."""


class TimeBudget:
    """The clock of a run. `begin` a stage, then read `place` after each `after_iteration`.

    Args:
        minutes: wall-clock time of all stages together, with validation and saving.
        iterations: `iterations` of each stage.
        clock: returns seconds, from any start.
    """

    def __init__(
        self, minutes: float, iterations: Sequence[int], runtime: Runtime, clock: Callable[[], float] = time.monotonic
    ):
        self.minutes, self.iterations, self.runtime, self.clock = minutes, tuple(iterations), runtime, clock
        self.place = 0
        """Position of the stage, 0 … its `iterations`, at which its time is over."""
        self.ending: float | None = None
        """Seconds of the last validation and saving; None: not measured yet."""
        self._stage, self._before, self._since = 0, 0.0, clock()
        self._iteration_began = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the run began, including those before a resume."""
        return self._before + self.clock() - self._since

    def window(self, stage: int) -> tuple[float, float]:
        """Begin and end of a stage, in seconds since the run began."""
        total = sum(self.iterations)
        begin, end = (60 * self.minutes * sum(self.iterations[:n]) / total for n in (stage, stage + 1))
        return begin, end

    def begin(self, stage: int) -> None:
        """Begin a stage. Time that the last one left is lost; if it took too long, this one gets one iteration."""
        self._stage = stage
        self._before += max(0.0, self.window(stage)[0] - self.elapsed)
        self._iteration_began = self.elapsed
        self.place = min(self._place_now(), self.iterations[stage] - 1)

    def after_iteration(self, iteration: int) -> None:
        """Update `place` after this iteration of the stage."""
        if self.runtime.ranks == 1 or iteration % AGREE_EVERY == 0:
            self.place = max(self.place, self._place_now())

    def after_ending(self, seconds: float) -> None:
        """Note the seconds that validation and saving took."""
        self.ending = seconds
        self._iteration_began = self.elapsed

    def state(self) -> dict[str, Any]:
        """The part of a checkpoint that `resume` reads."""
        return {"minutes": self.minutes, "elapsed": self.elapsed, "ending": self.ending, "place": self.place}

    def resume(self, state: dict[str, Any], stage: int) -> None:
        """Continue a stage with the remaining time; if `minutes` has changed, compute the place anew."""
        self._before, self._since, self.ending = state["elapsed"], self.clock(), state["ending"]
        self.begin(stage)
        if state["minutes"] == self.minutes:
            self.place = state["place"]

    def _place_now(self) -> int:
        """The place by the clock, the same on every process; the end if the next iterations would pass it."""
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
