"""Means of the losses and a watch for values that are not finite, kept on the device so that no iteration waits."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from training.options import StageOptions
from training.recipes.base import Recipe
from training.run_folder import RunFolder
from training.runtime import Runtime
from utils.errors import UserError


class Monitor:
    """Sums of the losses since the last log step, and the first iteration whose loss or weights were not finite.

    The sums are read at log steps, the rest also before anything is saved.

    Attributes:
        since: the iteration after which the sums begin.
    """

    def __init__(self, recipe: Recipe, stage: StageOptions, folder: RunFolder, runtime: Runtime):
        self.recipe, self.stage, self.folder, self.runtime = recipe, stage, folder, runtime
        self._first_bad = torch.full((), -1, dtype=torch.long, device=runtime.device)
        self.begin(0)

    def begin(self, iteration: int) -> None:
        """Clear the sums; the next ones begin after this iteration, and so does the rate's time."""
        self._sums: dict[str, Tensor] = {}
        self.since, self._clock = iteration, time.monotonic()

    def note(self, iteration: int, terms: dict[str, Tensor]) -> None:
        """Add the scalars that an iteration returned (on the device, `loss` among them)."""
        bad = ~torch.isfinite(terms["loss"]) & (self._first_bad < 0)
        self._first_bad = torch.where(bad, iteration, self._first_bad)
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def report(self, iteration: int) -> dict[str, float]:
        """Means of the noted terms over iterations and processes, learning rates, gradient norms, images per second.

        Raises:
            UserError: as `check_losses`.
        """
        self.check_losses()
        count = iteration - self.since
        rate = count * self.stage.batch_size / (time.monotonic() - self._clock)
        names = sorted(self._sums)
        values = self.runtime.mean(torch.stack([self._sums[name].float() for name in names])) / max(1, count)
        learning_rates = {
            "lr" if len(self.recipe.optimizers) == 1 else f"lr_{name}": optimizer.param_groups[0]["lr"]
            for name, optimizer in self.recipe.optimizers.items()
        }
        means = dict(zip(names, values.tolist()))
        return {**means, **learning_rates, **self._gradient_norms(), "images_per_second": rate}

    def _gradient_norms(self) -> dict[str, float]:
        """Norms of this iteration's gradients; none where clipping notes their means already.

        None in fp16, where the optimiser's kernel decides whether gradients still carry the scale of the loss.
        """
        if self.stage.clip_grad_norm is not None or self.runtime.accelerator.scaler is not None:
            return {}
        norms = {}
        for name, optimizer in self.recipe.optimizers.items():
            of = [p.grad.norm() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms["grad_norm" if name == "generator" else f"grad_norm_{name[0]}"] = float(torch.stack(of).norm())
        return norms

    def check_weights(self, iteration: int) -> None:
        """Refuse weights that are not finite: a finite loss can have gradients that are not.

        Raises:
            UserError: as `check_losses`.
        """
        networks = self.recipe.networks.values()
        finite = torch.stack([p.detach().isfinite().all() for network in networks for p in network.parameters()]).all()
        self._first_bad = torch.where(~finite & (self._first_bad < 0), iteration, self._first_bad)
        self.check_losses()

    def check_losses(self) -> None:
        """Wait for the device and check that everything noted is finite, on all processes.

        Raises:
            UserError: the loss or the weights were not finite; names the first such iteration.
        """
        first = self._first_bad
        if self.runtime.ranks > 1:
            first = torch.where(first < 0, torch.iinfo(torch.long).max, first)
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
            first = torch.where(first == torch.iinfo(torch.long).max, -1, first)
        if (iteration := int(first)) < 0:
            return
        rate = next(iter(self.recipe.optimizers.values())).param_groups[0]["lr"]
        raise UserError(
            f"the loss or the weights were not finite at iteration {iteration} of stage {self.stage.name!r} "
            f"(learning rate {rate:g}); {self.folder.last_good()}; "
            "lower optimizer.lr, set clip_grad_norm, or use runtime.precision fp32"
        )
