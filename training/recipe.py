"""The contract of every recipe: what it does to the batches of one iteration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from training.optimizers import build_optimizer, set_learning_rate
from utils.options import Section

if TYPE_CHECKING:
    from accelerate import Accelerator

    from models import Generator
    from training.options import StageOptions
    from training.runtime import Runtime

Batch = dict[str, Tensor]


class RecipeOptions(Section):
    """Options of a recipe; its `type` literal is its name in YAML."""

    trains: ClassVar[tuple[str, ...]] = ()
    """Generator types it can train; empty: all."""


class Recipe(ABC):
    """Trains a generator, one iteration at a time.

    A recipe owns its optimisers and one *step* per network: a thin `nn.Module` whose forward is exactly what one
    optimiser step computes. Only the step is wrapped for several processes or compiled, and it is only ever called.

    Args:
        options: the recipe's own options.
        generator: the network to train, all parameters trainable; the recipe freezes what it does not train.
        stage: the stage's options (optimiser, clipping).
        runtime: devices, wrapping, mixed precision.
    """

    Options: ClassVar[type[RecipeOptions]]
    needs_clean_lr: ClassVar[bool] = False
    """Whether batches must hold `clean_lr`, the uncompressed LR patch (float N×3×h×w in [0, 1])."""
    networks: dict[str, nn.Module]
    """Everything that a checkpoint must hold, by name; `generator` among them."""
    optimizers: dict[str, Optimizer]

    @classmethod
    def check(cls, options: RecipeOptions) -> None:
        """Raise at once what a stage would raise when its turn comes: weights of a loss that are not there, say."""
        del options  # most recipes need nothing

    @abstractmethod
    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """One iteration over the micro-batches (`lr`, `hr`: float N×3×h×w in [0, 1], on the device).

        Returns:
            Detached scalars on the device, `loss` among them; means over the micro-batches. Nothing here waits for
            the device.
        """

    @abstractmethod
    def set_iteration(self, iteration: int) -> None:
        """Set learning rates, and whatever else is scheduled, for the iteration that comes."""


def each_micro_batch(accelerator: Accelerator, step: nn.Module, micro_batches: list[Batch]) -> Iterator[Batch]:
    """The micro-batches in turn; gradients are exchanged between processes in the last one only."""
    for place, batch in enumerate(micro_batches):
        last = place == len(micro_batches) - 1
        with nullcontext() if last else accelerator.no_sync(step):
            yield batch


def add_terms(total: dict[str, Tensor], terms: dict[str, Tensor], share: float) -> None:
    """`total += share · terms`, detached, in place."""
    for name, value in terms.items():
        value = value.detach() * share
        total[name] = total[name] + value if name in total else value


def clip_gradients(accelerator: Accelerator, parameters: list[nn.Parameter], most: float | None) -> Tensor | None:
    """Clip to the norm `most` and return the norm before (on the device); None where nothing is clipped."""
    if most is None:
        return None
    norm = accelerator.clip_grad_norm_(parameters, most)
    return torch.as_tensor(norm, device=accelerator.device).detach()


class OneStepRecipe(Recipe):
    """A recipe with one step, one optimiser and one backward pass per micro-batch: it only says what the losses are."""

    def __init__(self, generator: Generator, step: nn.Module, stage: StageOptions, runtime: Runtime):
        """`step` is what is trained: its parameters that need gradients, at this moment."""
        self.stage, self.runtime = stage, runtime
        self.networks = {"generator": runtime.place(generator)}
        self.trained = [parameter for parameter in step.parameters() if parameter.requires_grad]
        optimizer = build_optimizer(stage.optimizer, self.trained, fused=runtime.fused)
        self.step, self.optimizer = runtime.prepare(step, optimizer)
        self.optimizers = {"generator": self.optimizer}

    @abstractmethod
    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Forward and losses of one micro-batch: weighted terms by name, their sum as `loss`."""

    def set_iteration(self, iteration: int) -> None:
        factor = self.stage.schedule.factor(iteration, self.stage.iterations)
        set_learning_rate(self.optimizer, self.stage.optimizer.lr * factor)

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        return self.optimize(micro_batches, self.terms)

    def optimize(self, micro_batches: list[Batch], terms_of: Callable[[Batch], dict[str, Tensor]]) -> dict[str, Tensor]:
        """One optimiser step on the mean of the micro-batches' losses; their terms and, if clipped, `grad_norm`."""
        accelerator = self.runtime.accelerator
        share = 1 / len(micro_batches)
        total: dict[str, Tensor] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for batch in each_micro_batch(accelerator, self.step, micro_batches):
            terms = terms_of(batch)
            accelerator.backward(terms["loss"] * share)
            add_terms(total, terms, share)
        norm = clip_gradients(accelerator, self.trained, self.stage.clip_grad_norm)
        self.optimizer.step()
        return total if norm is None else {**total, "grad_norm": norm}
