"""Recipe `supervised`: pixel and perceptual losses on the generator's output."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from losses import LpipsLoss, LpipsLossOptions, PerceptualLoss, PerceptualLossOptions, PixelLoss, PixelLossOptions
from models import Generator
from training.optimization import OptimizationOptions
from training.recipes.base import Batch, OneStepRecipe, RecipeOptions, sum_of
from training.runtime import Runtime


class SupervisedOptions(RecipeOptions):
    """Losses of `supervised`."""

    type: Literal["supervised"] = "supervised"
    pixel: PixelLossOptions
    """Loss between pixels."""
    perceptual: PerceptualLossOptions | None = None
    """Loss between features of a classification network; null leaves it out."""
    lpips: LpipsLossOptions | None = None
    """LPIPS as a loss, by another backbone than the one it is measured by; null leaves it out."""


class Supervised(OneStepRecipe):
    """The generator's output against the HR patch: `pixel + perceptual + lpips`."""

    Options: ClassVar[type[SupervisedOptions]] = SupervisedOptions

    def __init__(self, options: SupervisedOptions, generator: Generator, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(generator, self.make_step(generator), stage, runtime)
        self.losses = nn.ModuleDict({"pixel": PixelLoss(options.pixel)})
        self.balanced = options.pixel.balance > 0
        if options.perceptual is not None:
            self.losses["perceptual"] = PerceptualLoss(options.perceptual)
        if options.lpips is not None:
            self.losses["lpips"] = LpipsLoss(options.lpips)
        runtime.place(self.losses)

    @classmethod
    def check(cls, options: RecipeOptions) -> None:
        assert isinstance(options, SupervisedOptions)
        if options.perceptual is not None:
            PerceptualLoss(options.perceptual)
        if options.lpips is not None:
            LpipsLoss(options.lpips)

    def make_step(self, generator: Generator) -> nn.Module:
        """The module whose forward is one optimiser step's computation, lr → sr; freezes what it does not use."""
        return generator

    def restore(self, batch: Batch) -> Tensor:
        """The generator's output; one that reads quantisation steps is given those of the batch."""
        return self.step(batch["lr"], *([batch["steps"]] if "steps" in batch else []))

    def compare(self, sr: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The weighted losses between output and HR patch, by name."""
        terms = {"pixel": self.losses["pixel"](sr, batch["hr"], self._before(batch))}
        for name in ("perceptual", "lpips"):
            if name in self.losses:
                terms[name] = self.losses[name](sr, batch["hr"])
        return terms

    def _before(self, batch: Batch) -> Tensor | None:
        """The generator's input in the output's size, where the pixel loss is balanced by it."""
        if not self.balanced:
            return None
        size = batch["hr"].shape[2:]
        return batch["lr"] if batch["lr"].shape[2:] == size else F.interpolate(batch["lr"], size=size, mode="bicubic")

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.compare(self.restore(batch), batch)
        return {"loss": sum_of(terms), **(terms if len(terms) > 1 else {})}
