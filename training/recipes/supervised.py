"""Recipe `supervised`: pixel and perceptual losses on the generator's output."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from data.datasets import Batch
from models import Generator
from training.optimization import OptimizationOptions
from training.recipes.base import Recipe, inputs
from training.recipes.output_losses import OutputLosses, OutputLossOptions
from training.runtime import Runtime


class SupervisedOptions(OutputLossOptions):
    """Losses of `supervised`."""

    type: Literal["supervised"] = "supervised"


class Supervised(Recipe):
    """The generator's output against the HR patch: `pixel + perceptual + lpips + spectrum`."""

    Options = SupervisedOptions

    def __init__(self, options: SupervisedOptions, generator: Generator, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(options, generator, stage, runtime)
        self.losses = runtime.place(OutputLosses(options))

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        for batch in self.update.parts(micro_batches):
            sr = self.step(*inputs(batch))
            self.update.backward(self.losses(sr, batch))
        return self.update.step()
