"""A run that ends by the clock: the place in a stage's schedule depends on the share of its time that has passed.

With `runtime.minutes`, `iterations` of a stage is not a count but the scale of its time. When half of the time has
passed, the *place* is half of `iterations`, however many iterations were done, and `every` counts places. The stages
share the minutes in proportion to their `iterations`.

Learning rates and scheduled loss weights are functions of the place that an iteration is going to *reach*: a stage with
time for twenty makes the first at a twentieth and the last at the end of its schedule. With the place where an
iteration begins, the last would not be annealed. Fewer than `FEW` are worse than none: Adam's first steps go by the
signs of the gradients. The first iteration of a run is therefore only timed, with a learning rate of 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from training.runtime import Runtime

AGREE_EVERY = 10
"""With several processes, iterations between looks at the clock: all need the same learning rate."""
FEW = 10
"""Fewest iterations of a stage: about as many as Adam's average of the gradient, with β₁ = 0.9, is made of."""
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
        self.reached = 0
        """The place at the end of the coming iteration; the stage's end where none fits behind it."""
        self.ending: float | None = None
        """Seconds of the last validation and saving; None: not measured yet."""
        self.each: float | None = None
        """Seconds of the last iteration; None: not measured yet."""
        self._stage, self._before, self._since = 0, 0.0, clock()
        self._looked, self._made, self._first = 0.0, 0, True

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
        """Begin a stage. Time that the last one left is lost; if it took too long, this one gets less."""
        self._stage = stage
        self._before += max(0.0, self.window(stage)[0] - self.elapsed)
        self._looked, self._made, self._first = self.elapsed, 0, True
        self.place = 0
        self._look()
        self.place = min(self.place, self.iterations[stage] - 1)

    def fits(self) -> bool:
        """Whether the stage has time for `FEW` iterations, as far as one was timed; the same on every process."""
        now, end = self._now_and_end()
        return now < end and now + FEW * (self.each or 0.0) <= end

    def skip(self) -> None:
        """End the stage."""
        self.place = self.iterations[self._stage]

    def after_iteration(self, iteration: int) -> None:
        """Update `place` and `reached` after this iteration of the stage."""
        self._made += 1
        if self.runtime.ranks > 1 and iteration > 1 and iteration % AGREE_EVERY:
            return
        slower = self.runtime.device.type == "cuda" or self.runtime.options.compile
        untimed = self.each is None
        if not (self._first and slower):  # the first one there compiles and looks for the fastest kernels
            self.each = (self.elapsed - self._looked) / self._made
        self._first = False
        self._look()
        if untimed and not self.fits():
            self.skip()

    def after_ending(self, seconds: float) -> None:
        """Note the seconds that validation and saving took; `place` is moved by the next iteration."""
        self.ending, place = seconds, self.place
        self._look()
        self.place = place

    def state(self) -> dict[str, Any]:
        """The part of a checkpoint that `resume` reads."""
        times = {"elapsed": self.elapsed, "ending": self.ending, "each": self.each}
        return {"minutes": self.minutes, **times, "place": self.place}

    def resume(self, state: dict[str, Any], stage: int) -> None:
        """Continue a stage with the remaining time; if `minutes` has changed, compute the place anew."""
        self._before, self._since, self.ending = state["elapsed"], self.clock(), state["ending"]
        self.each = state.get("each")
        self.begin(stage)
        if state["minutes"] == self.minutes:
            self.place = state["place"]

    def _look(self) -> None:
        """Set `place` and `reached` by the clock."""
        now, end = self._now_and_end()
        self._looked, self._made = self.elapsed, 0
        iterations, begin = self.iterations[self._stage], self.window(self._stage)[0]
        coming = (self.each or 0.0) * (1 if self.runtime.ranks == 1 else AGREE_EVERY)

        def place_at(seconds: float) -> int:
            return max(0, int(iterations * (seconds - begin) / (end - begin))) if seconds < end else iterations

        over = now + coming >= end
        self.place = iterations if over else max(self.place, min(iterations - 1, place_at(now)))
        is_last = now + 2 * coming >= end  # nothing fits behind the coming one
        self.reached = iterations if is_last else max(self.place, place_at(now + coming))

    def _now_and_end(self) -> tuple[float, float]:
        """Seconds since the run began, and those at which the stage's iterations end; the main process's, as `each`."""
        now, ending, each = self._of_main([self.elapsed, self.ending or 0.0, -1.0 if self.each is None else self.each])
        self.each = None if each < 0 else each
        return now, self.window(self._stage)[1] - SPARE * ending

    def _of_main(self, values: list[float]) -> list[float]:
        if self.runtime.ranks == 1:
            return values
        sent = torch.tensor(values, dtype=torch.float64, device=self.runtime.device)
        torch.distributed.broadcast(sent, 0)
        return sent.tolist()
