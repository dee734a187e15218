"""Recipe `supervised`: pixel and perceptual losses on the generator's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from losses import PerceptualLoss, PerceptualLossOptions, PixelLoss, PixelLossOptions
from models import Generator
from training.recipe import Batch, OneStepRecipe, RecipeOptions

if TYPE_CHECKING:
    from training.options import StageOptions
    from training.runtime import Runtime


class SupervisedOptions(RecipeOptions):
    """Losses of `supervised`."""

    type: Literal["supervised"] = "supervised"
    pixel: PixelLossOptions
    """Loss between pixels."""
    perceptual: PerceptualLossOptions | None = None
    """Loss between features of a classification network; null leaves it out."""


class Supervised(OneStepRecipe):
    """The generator's output against the HR patch: `pixel + perceptual`."""

    Options = SupervisedOptions

    def __init__(self, options: SupervisedOptions, generator: Generator, stage: StageOptions, runtime: Runtime):
        super().__init__(generator, self.make_step(generator), stage, runtime)
        self.losses = nn.ModuleDict({"pixel": PixelLoss(options.pixel)})
        if options.perceptual is not None:
            self.losses["perceptual"] = PerceptualLoss(options.perceptual)
        runtime.place(self.losses)

    @classmethod
    def check(cls, options: SupervisedOptions) -> None:
        if options.perceptual is not None:
            PerceptualLoss(options.perceptual)

    def make_step(self, generator: Generator) -> nn.Module:
        """The module whose forward is one optimiser step's computation, lr → sr; freezes what it does not use."""
        return generator

    def compare(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """The weighted losses between output and HR patch, by name."""
        return {name: loss(sr, hr) for name, loss in self.losses.items()}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.compare(self.step(batch["lr"]), batch["hr"])
        return {"loss": sum(terms.values()), **(terms if len(terms) > 1 else {})}
