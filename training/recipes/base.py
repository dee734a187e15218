"""The contract of every recipe: how it trains a generator on the batches of one iteration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from data.datasets import Batch
from models import Generator
from training.optimization import OptimizationOptions
from training.recipes.update import Update
from training.runtime import Runtime
from training.validation import Validator
from utils.section import Section


class RecipeOptions(Section):
    """Options of a recipe; its `type` literal is its name in YAML."""

    trains: ClassVar[tuple[str, ...]] = ()
    """Generator types that the recipe can train; empty: all."""
    type: str
    """Name of the recipe; the options of each recipe allow one name."""

    @property
    def hr_patch_size(self) -> int | None:
        """Side of the HR patches that the recipe needs; None: any."""
        return None

    def check(self) -> None:
        """Raise now what the recipe would raise when its stage begins, such as a LossWeightsError."""


class Recipe(ABC):
    """Trains a generator, one iteration at a time.

    The *step* is a thin module whose forward pass computes what one optimiser step needs of the generator. Only the
    step is compiled or wrapped for several processes, and it is only ever called.

    Args:
        options: the recipe's own options.
        generator: the network to train, of a type that the recipe trains; all parameters need gradients.
        stage: optimiser, schedule and clipping.
        runtime: devices, wrapping, mixed precision.
    """

    Options: ClassVar[type[RecipeOptions]]
    needs_clean_lr: ClassVar[bool] = False
    """Whether batches must hold `clean_lr`, the uncompressed LR patch (float N×3×h×w in [0, 1])."""
    networks: dict[str, nn.Module]
    """All networks that a checkpoint must hold, by name; `generator` is one of them."""
    optimizers: dict[str, Optimizer]
    """The optimisers by the names of their networks."""

    def __init__(self, options: Any, generator: Any, stage: OptimizationOptions, runtime: Runtime):
        self.options, self.stage, self.runtime = options, stage, runtime
        step = self.make_step(generator)
        self.networks = {"generator": runtime.place(generator)}
        self.update = Update(step, stage.optimizer, stage, runtime)
        self.step = self.update.network
        self.optimizers = {"generator": self.update.optimizer}

    def make_step(self, generator: Any) -> nn.Module:
        """The step of the generator: by default the generator itself. A recipe freezes here what it does not train."""
        return generator

    def set_iteration(self, iteration: int, done: int | None = None) -> None:
        """Set learning rates, and whatever else is scheduled, for the coming iteration.

        Args:
            iteration: its position in the schedules.
            done: iterations that the stage has made; None: `iteration`. By the clock the two differ.
        """
        self.update.set_iteration(iteration, done)

    @abstractmethod
    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """Train on one batch, given in micro-batches (`lr`, `hr`: float N×3×h×w in [0, 1], on the device).

        Returns:
            Detached scalars on the device, `loss` among them; means over the micro-batches. Nothing here waits for
            the device.
        """

    def outcome(self, generator: Generator, validator: Validator) -> list[str]:
        """Lines to print when the stage ends: results on the validation images that scores do not show.

        Args:
            generator: the network that is exported, the EMA if one is kept.
            validator: has at least one image.

        All processes call this and must use `validator` alike.
        """
        del generator, validator  # most recipes have no such results
        return []


def inputs(batch: Batch) -> list[Tensor]:
    """The generator's inputs: `lr` and, for a generator that reads them, the quantisation steps of the JPEGs."""
    return [batch["lr"], *([batch["steps"]] if "steps" in batch else [])]
