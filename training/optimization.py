"""Optimisers, learning-rate schedules, and the options of a stage that recipes read.

Learning rates are pure functions of the iteration: they have no state that a resume must restore.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import Optimizer

from training.muon import Muon
from utils.section import Section

Decay = Annotated[float, Field(ge=0, lt=1)]
MOST = 1e20
"""Largest learning rate: Adam divides it by 1 − β ≥ 1e-16, and torch fails if the quotient exceeds float32."""


class OptimizerOptions(Section):
    """Adam as in all three papers, AdamW, SGD or Muon."""

    type: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    """`muon` orthogonalises the steps of kernels; it takes Adam's learning rates, and Adam for biases."""
    lr: float = Field(gt=0, le=MOST)
    """Base learning rate; the schedule multiplies it."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decays of Adam's, AdamW's and, for biases, Muon's averages of the gradient and of its square, each in [0, 1)."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """SGD's momentum."""
    weight_decay: float = Field(default=0.0, ge=0, le=1e38)
    """L2 penalty (Adam, SGD) or decoupled decay (AdamW, Muon)."""

    @model_validator(mode="after")
    def _within_float32(self) -> OptimizerOptions:
        if self.type in ("adamw", "muon") and self.lr * self.weight_decay > 1e38:
            raise ValueError("lr × weight_decay is beyond float32; lower one of them")
        return self


def build_optimizer(options: OptimizerOptions, parameters: Iterable[nn.Parameter], *, fused: bool) -> Optimizer:
    """The optimiser of those `parameters` that need gradients."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    lr, decay = options.lr, options.weight_decay
    if options.type == "sgd":
        return torch.optim.SGD(trained, lr, momentum=options.momentum, weight_decay=decay, fused=fused)
    if options.type == "muon":
        return Muon(trained, lr, options.betas, decay)
    kind = torch.optim.Adam if options.type == "adam" else torch.optim.AdamW
    return kind(trained, lr, betas=options.betas, weight_decay=decay, fused=fused)


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr


class ConstantSchedule(Section):
    """The learning rate does not change."""

    type: Literal["constant"] = "constant"

    def factor(self, iteration: int, iterations: int, done: int | None = None) -> float:
        """Factor of the base learning rate at the position `iteration`, 0 … iterations, of the schedule.

        Args:
            done: iterations made so far, which a warm-up counts; None: `iteration`.
        """
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

    def factor(self, iteration: int, iterations: int, done: int | None = None) -> float:
        """See `ConstantSchedule.factor`."""
        return self.gamma ** sum(iteration >= milestone for milestone in self.milestones)


class CosineSchedule(Section):
    """Linear warm-up, then half a cosine down to `final` times the base rate at the last iteration."""

    type: Literal["cosine"] = "cosine"
    warmup: int = Field(default=0, ge=0)
    """Iterations of the linear warm-up. By the clock too they are counted as made: Adam's averages need as many."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Factor reached at the end."""

    def factor(self, iteration: int, iterations: int, done: int | None = None) -> float:
        """See `ConstantSchedule.factor`."""
        made = iteration if done is None else done
        warm = min(1.0, (made + 1) / (self.warmup + 1))
        progress = (iteration - self.warmup) / max(1, iterations - self.warmup)
        return min(warm, self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress)))))


Schedule = Annotated[ConstantSchedule | MultiStepSchedule | CosineSchedule, Field(discriminator="type")]


class OptimizationOptions(Section):
    """The options of a stage that recipes read; `StageOptions` adds the recipe and everything else."""

    iterations: int = Field(ge=1, le=10**9)
    """Batches that the stage trains on."""
    optimizer: OptimizerOptions
    schedule: Schedule = ConstantSchedule()
    """Course of the learning rate."""
    clip_grad_norm: float | None = Field(default=None, gt=0)
    """Gradients with a larger norm are scaled down to this one."""
