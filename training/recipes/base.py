"""The contract of every recipe: what it does to the batches of one iteration."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer

from models import Generator
from training.optimization import OptimizationOptions, build_optimizer, set_learning_rate
from training.runtime import Runtime
from training.validation import Validator
from utils.section import Section

Batch = dict[str, Tensor]
Part = TypeVar("Part")


class RecipeOptions(Section):
    """Options of a recipe; its `type` literal is its name in YAML."""

    trains: ClassVar[tuple[str, ...]] = ()
    """Generator types it can train; empty: all."""
    type: str
    """The recipe's name; each recipe's options take theirs alone."""

    @property
    def hr_patch_size(self) -> int | None:
        """Side of the HR patches that the recipe takes; None: any."""
        return None


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

    @abstractmethod
    def __init__(self, options: Any, generator: Any, stage: OptimizationOptions, runtime: Runtime):
        """Options and generator: of the types that the recipe is for."""

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

    def outcome(self, generator: Generator, validator: Validator) -> list[str]:
        """Lines to say at the end of the stage about what it reached, measured on the validation images.

        Args:
            generator: what is exported, the EMA where one is kept.
            validator: has images, at least one.

        Called on all processes, which must use `validator` alike.
        """
        del generator, validator  # most recipes have nothing to say that scores do not
        return []


def take_step(
    runtime: Runtime,
    stage: OptimizationOptions,
    step: nn.Module,
    optimizer: Optimizer,
    parts: list[Part],
    terms_of: Callable[[Part], dict[str, Tensor]],
    share: float,
) -> dict[str, Tensor]:
    """One optimiser step on `share` times the sum of the losses of `parts`, each backpropagated by itself.

    Args:
        step, optimizer: as `Runtime.prepare` returned them; gradients are exchanged between processes in the last
            part only.
        terms_of: forward and losses of a part; its terms by name, what is backpropagated as `loss`.

    Returns:
        `share` times the sums of the terms, detached; `grad_norm`, that before clipping, where the stage clips.
    """
    total: dict[str, Tensor] = {}
    optimizer.zero_grad(set_to_none=True)
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        with nullcontext() if last else runtime.accelerator.no_sync(step):
            terms = terms_of(part)
            runtime.accelerator.backward(terms["loss"] * share)
        add_terms(total, terms, share)
    norm = clip_gradients(runtime, optimizer, stage.clip_grad_norm)
    optimizer.step()
    return total if norm is None else {**total, "grad_norm": norm}


def sum_of(terms: dict[str, Tensor]) -> Tensor:
    """The sum of one term or more."""
    first, *others = terms.values()
    return sum(others, start=first)


def add_terms(total: dict[str, Tensor], terms: dict[str, Tensor], share: float) -> None:
    """`total += share · terms`, detached, in place."""
    for name, value in terms.items():
        value = value.detach() * share
        total[name] = total[name] + value if name in total else value


def clip_gradients(runtime: Runtime, optimizer: Optimizer, most: float | None) -> Tensor | None:
    """Clip to the norm `most` and return the norm before (on the device); None where nothing is clipped."""
    if most is None:
        return None
    # accelerate's own clipping takes fp16's scale off the gradients of every optimiser there is, not of this one.
    runtime.accelerator.unscale_gradients(optimizer)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return nn.utils.clip_grad_norm_(parameters, most).detach()


class OneStepRecipe(Recipe):
    """A recipe with one step, one optimiser and one backward pass per micro-batch: it only says what the losses are."""

    def __init__(self, generator: Generator, step: nn.Module, stage: OptimizationOptions, runtime: Runtime):
        """`step` is what is trained: its parameters that need gradients, at this moment."""
        self.stage, self.runtime = stage, runtime
        self.networks = {"generator": runtime.place(generator)}
        optimizer = build_optimizer(stage.optimizer, step.parameters(), fused=runtime.fused)
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
        share = 1 / len(micro_batches)
        return take_step(self.runtime, self.stage, self.step, self.optimizer, micro_batches, terms_of, share)
