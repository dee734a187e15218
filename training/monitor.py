"""What is noted of the iterations on the device, so that none of them waits for it: means, and what is not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from training.options import StageOptions
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.runtime import Runtime
from utils.errors import UserError


class Monitor:
    """Sums of the losses since the last log step, and the first iteration whose loss or weights were not finite.

    It is read at log steps and before anything is saved.
    """

    def __init__(self, recipe: Recipe, stage: StageOptions, folder: RunFolder, runtime: Runtime):
        self.recipe, self.stage, self.folder, self.runtime = recipe, stage, folder, runtime
        self._first_bad = torch.full((), -1, dtype=torch.long, device=runtime.device)
        self._sums: dict[str, Tensor] = {}

    def note(self, iteration: int, terms: dict[str, Tensor]) -> None:
        """Add what an iteration returned: scalars on the device, `loss` among them."""
        bad = ~torch.isfinite(terms["loss"]) & (self._first_bad < 0)
        self._first_bad = torch.where(bad, iteration, self._first_bad)
        for name, value in terms.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def forget(self) -> None:
        """Start the sums anew."""
        self._sums = {}

    def means(self, iterations: int) -> dict[str, float]:
        """Means of the noted terms over iterations and processes; the learning rates; starts the sums anew."""
        names = sorted(self._sums)
        values = self.runtime.mean(torch.stack([self._sums[name].float() for name in names])) / max(1, iterations)
        self.forget()
        rates = {
            "lr" if len(self.recipe.optimizers) == 1 else f"lr_{name}": optimizer.param_groups[0]["lr"]
            for name, optimizer in self.recipe.optimizers.items()
        }
        return {**dict(zip(names, values.tolist())), **rates}

    def gradient_norms(self) -> dict[str, float]:
        """Norms of this iteration's gradients, at log steps, where no clipping has them (then they are noted means).

        Not in fp16, where gradients still carry the loss's scale or not, depending on the optimiser's kernel.
        """
        if self.stage.clip_grad_norm is not None or self.runtime.accelerator.scaler is not None:
            return {}
        norms = {}
        for name, optimizer in self.recipe.optimizers.items():
            of = [p.grad.norm() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms["grad_norm" if name == "generator" else f"grad_norm_{name[0]}"] = float(torch.stack(of).norm())
        return norms

    def check_weights(self, iteration: int) -> None:
        """Nothing is kept whose weights are not finite: a finite loss can have gradients that are not.

        Raises:
            UserError: as `check_losses`.
        """
        networks = self.recipe.networks.values()
        finite = torch.stack([p.detach().isfinite().all() for network in networks for p in network.parameters()]).all()
        self._first_bad = torch.where(~finite & (self._first_bad < 0), iteration, self._first_bad)
        self.check_losses()

    def check_losses(self) -> None:
        """Wait for the device and look whether all that was noted is finite, on all processes.

        Raises:
            UserError: the loss or the weights were not; names the first such iteration.
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
