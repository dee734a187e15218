"""Learning rates as pure functions of the iteration: no state, so nothing to go wrong at a resume."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from utils.options import Section


class ConstantSchedule(Section):
    """The learning rate stays as it is."""

    type: Literal["constant"] = "constant"

    def factor(self, iteration: int, iterations: int) -> float:
        """What the base learning rate is multiplied with at `iteration` (0 … iterations − 1)."""
        return 1.0


class MultiStepSchedule(Section):
    """Multiplied by `gamma` at each milestone."""

    type: Literal["multistep"] = "multistep"
    milestones: tuple[int, ...] = Field(min_length=1)
    """Iterations at which the learning rate drops, ascending."""
    gamma: float = Field(default=0.5, gt=0, le=1)
    """Factor of each drop."""

    @model_validator(mode="after")
    def _ascending(self) -> MultiStepSchedule:
        if any(a >= b for a, b in zip(self.milestones, self.milestones[1:])) or self.milestones[0] < 1:
            raise ValueError(f"milestones must be positive and ascending, got {list(self.milestones)}")
        return self

    def factor(self, iteration: int, iterations: int) -> float:
        """See `ConstantSchedule.factor`."""
        return self.gamma ** sum(iteration >= milestone for milestone in self.milestones)


class CosineSchedule(Section):
    """Linear warm-up, then half a cosine down to `final` times the base rate at the last iteration."""

    type: Literal["cosine"] = "cosine"
    warmup: int = Field(default=0, ge=0)
    """Iterations of the linear warm-up."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Factor reached at the end."""

    def factor(self, iteration: int, iterations: int) -> float:
        """See `ConstantSchedule.factor`."""
        if iteration < self.warmup:
            return (iteration + 1) / (self.warmup + 1)
        progress = (iteration - self.warmup) / max(1, iterations - self.warmup)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


Schedule = Annotated[ConstantSchedule | MultiStepSchedule | CosineSchedule, Field(discriminator="type")]
