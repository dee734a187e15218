"""Recipe `unfolding`: CISR-PSI's ARM and REM, one optimiser step per unfolding step (Luo et al., section 3.4)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from data.datasets import Batch
from losses import PixelLoss, PixelLossOptions
from models import CISRPSI
from models.cisr_psi import bicubic_up
from training.optimization import OptimizationOptions
from training.recipes.base import Recipe, RecipeOptions
from training.runtime import Runtime


class UnfoldingOptions(RecipeOptions):
    """Loss of step i: w_i·[(1 − λ)·pixel(ŷ, clean LR) + λ·pixel(x̂, HR)], w from 0 to 1 over the steps."""

    trains: ClassVar[tuple[str, ...]] = ("cisr_psi",)
    type: Literal["unfolding"] = "unfolding"
    pixel: PixelLossOptions = PixelLossOptions(type="l1", value_range=255)
    """Loss between pixels; the paper's is L1 on 0–255."""
    lambda_start: float = Field(default=0.1, ge=0, le=1)
    """λ at the first iteration."""
    lambda_rise: float = Field(default=0.2, ge=0)
    """Step by which λ rises."""
    lambda_every: int = Field(default=10000, ge=1)
    """Iterations between rises (the paper's 20 epochs are 10,000)."""
    schedule: Literal["sound", "released"] = "sound"
    """`released` follows the released program in three points: λ rises past 1, which pushes ŷ away from the clean LR
    image; it rises a twentieth of `lambda_every` early, as the program numbers epochs from 1; and step 0, whose weight
    is 0, takes an optimiser step with zero gradients, in which Adam's momentum still changes the weights."""

    def weight_of_hr(self, iteration: int) -> float:
        """λ, a function of the iteration alone."""
        if self.schedule == "released":  # epochs of lambda_every / 20 iterations, numbered from 1: (epoch // 20) rises
            rises = (20 * iteration + self.lambda_every) // (20 * self.lambda_every)
            return self.lambda_start + self.lambda_rise * rises
        return min(1.0, self.lambda_start + self.lambda_rise * (iteration // self.lambda_every))


class UnfoldingStep(nn.Module):
    """Computes one unfolding step; a module, so that it can be wrapped for several processes."""

    def __init__(self, network: CISRPSI):
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, x_hat: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.step(z, x_hat)


class Unfolding(Recipe):
    """One optimiser step for each unfolding step, from x̂₀ = bicubic(z). Both non-local operators stay frozen."""

    Options = UnfoldingOptions
    needs_clean_lr = True

    def __init__(self, options: UnfoldingOptions, generator: CISRPSI, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(options, generator, stage, runtime)
        self.scale = generator.scale
        steps = generator.options.steps
        # The released w = linspace(0, 1, steps); a single step gets all the weight.
        self.step_weights = [place / (steps - 1) for place in range(steps)] if steps > 1 else [1.0]
        self.loss = PixelLoss(options.pixel)
        self.weight_of_hr = options.weight_of_hr(0)

    def make_step(self, generator: CISRPSI) -> nn.Module:
        generator.arm.prior.requires_grad_(False)
        generator.rem.prior.requires_grad_(False)
        return UnfoldingStep(generator)

    def set_iteration(self, iteration: int, done: int | None = None) -> None:
        super().set_iteration(iteration, done)
        self.weight_of_hr = self.options.weight_of_hr(iteration)

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """`loss` is the sum over the unfolding steps; `restored_lr` and `sr` are the unweighted losses of the last."""
        x_hats = [bicubic_up(batch["lr"], self.scale) for batch in micro_batches]
        losses: list[Tensor] = []
        terms: dict[str, Tensor] = {}
        for weight in self.step_weights:
            if weight == 0 and self.options.schedule == "sound":  # no gradient: only x̂ is needed
                with torch.no_grad():
                    x_hats = [self.step(batch["lr"], x_hat)[1] for batch, x_hat in zip(micro_batches, x_hats)]
                continue
            for number, batch in self.update.parts(list(enumerate(micro_batches))):
                y_hat, x_hat = self.step(batch["lr"], x_hats[number])
                x_hats[number] = x_hat.detach()
                restored, enlarged = self.loss(y_hat, batch["clean_lr"]), self.loss(x_hat, batch["hr"])
                mixed = (1 - self.weight_of_hr) * restored + self.weight_of_hr * enlarged
                self.update.backward({"mixed": weight * mixed}, restored_lr=restored, sr=enlarged)
            terms = self.update.step()
            losses.append(terms["loss"])
        return {**terms, "loss": sum(losses[1:], start=losses[0])}
