"""The contract of every recipe: what it does to the batches of one iteration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.options import Section

if TYPE_CHECKING:
    from accelerate import Accelerator

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
