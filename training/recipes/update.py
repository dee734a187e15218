"""One optimiser step of one network: the helper that every recipe's iteration is written with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import TypeVar

from torch import Tensor, nn

from training.optimization import OptimizationOptions, OptimizerOptions, build_optimizer, set_learning_rate
from training.runtime import Runtime

Part = TypeVar("Part")


class Update:
    """An optimiser and the steps it takes, each on the mean of the losses of several parts of a batch.

        for batch in update.parts(micro_batches):   # clears the gradients
            ...                                      # forward and losses of this part
            update.backward(terms)
        return update.step()                         # clips the gradients, changes the weights

    Args:
        network: the network to train: those of its parameters that need gradients when the update is made.
        options: the optimiser.
        stage: length and schedule of the stage, and the norm to clip gradients to.

    Attributes:
        network: as the runtime wrapped it for processes, precision and compilation; the forward pass calls this one.
        optimizer: as the runtime wrapped it.
    """

    def __init__(self, network: nn.Module, options: OptimizerOptions, stage: OptimizationOptions, runtime: Runtime):
        self.options, self.stage, self.runtime = options, stage, runtime
        optimizer = build_optimizer(options, network.parameters(), fused=runtime.fused)
        self.network, self.optimizer = runtime.prepare(network, optimizer)
        self._share = 1.0
        self._means: dict[str, Tensor] = {}

    def set_iteration(self, iteration: int, done: int | None = None) -> None:
        """Set the learning rate for the coming iteration of the stage, as `Recipe.set_iteration`."""
        factor = self.stage.schedule.factor(iteration, self.stage.iterations, done)
        set_learning_rate(self.optimizer, self.options.lr * factor)

    def parts(self, parts: Sequence[Part], share: float | None = None) -> Iterator[Part]:
        """Clear the gradients, then yield each part for its forward and backward pass.

        Several processes exchange gradients during the last part only.

        Args:
            share: factor of each part's loss; None: 1 / number of parts.
        """
        self._share = 1 / len(parts) if share is None else share
        self._means = {}
        self.optimizer.zero_grad(set_to_none=True)
        for number, part in enumerate(parts, 1):
            with nullcontext() if number == len(parts) else self.runtime.accelerator.no_sync(self.network):
                yield part

    def backward(self, terms: dict[str, Tensor], **noted: Tensor) -> None:
        """Backpropagate the part's share of the loss, which is the sum of `terms`.

        Args:
            terms: weighted terms of the loss by name, at least one; several are logged beside their sum.
            noted: other scalars to log.
        """
        first, *others = terms.values()
        loss = sum(others, start=first)
        self.runtime.accelerator.backward(loss * self._share)
        for name, value in {"loss": loss, **(terms if others else {}), **noted}.items():
            value = value.detach() * self._share
            self._means[name] = self._means[name] + value if name in self._means else value

    def step(self) -> dict[str, Tensor]:
        """Clip the gradients and change the weights.

        Returns:
            Detached scalars on the device: `loss`, its terms and what was noted, as means over the parts; `grad_norm`,
            the norm before clipping, where the stage clips.
        """
        norm = self._clipped_norm()
        self.optimizer.step()
        return self._means if norm is None else {**self._means, "grad_norm": norm}

    def _clipped_norm(self) -> Tensor | None:
        if (most := self.stage.clip_grad_norm) is None:
            return None
        # accelerate's own clipping removes the loss scale of fp16 from the gradients of every optimiser
        self.runtime.accelerator.unscale_gradients(self.optimizer)
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        return nn.utils.clip_grad_norm_(parameters, most).detach()
