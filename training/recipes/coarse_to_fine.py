"""Recipe `coarse_to_fine`: CISRNet's two stages (arXiv 2201.06045, section 3.4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from data.datasets import Batch
from models import CISRNet
from training.optimization import OptimizationOptions
from training.recipes.base import Recipe
from training.recipes.output_losses import OutputLosses, OutputLossOptions
from training.runtime import Runtime


class CoarseToFineOptions(OutputLossOptions):
    """Losses of `coarse_to_fine`, and the part of the network that the stage trains.

    Stage 1 of the paper: `part: coarse` with 0.1·L1. Stage 2: `part: whole`, where the refined output alone is
    supervised, with 1·L1 + 0.05·VGG.
    """

    trains: ClassVar[tuple[str, ...]] = ("cisrnet",)
    type: Literal["coarse_to_fine"] = "coarse_to_fine"
    part: Literal["coarse", "whole"]
    """`coarse`: the coarse network alone, the refinement frozen. `whole`: both, through the refined output."""


class CoarseStep(nn.Module):
    """Computes the coarse estimate; a module, so that it can be wrapped for several processes."""

    def __init__(self, network: CISRNet):
        super().__init__()
        self.network = network

    def forward(self, lr: Tensor) -> Tensor:
        return self.network.coarse(lr)


class CoarseToFine(Recipe):
    """The losses of `supervised` on the coarse estimate (stage 1) or on the refined one (stage 2)."""

    Options = CoarseToFineOptions

    def __init__(self, options: CoarseToFineOptions, generator: CISRNet, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(options, generator, stage, runtime)
        self.losses = runtime.place(OutputLosses(options))

    def make_step(self, generator: CISRNet) -> nn.Module:
        if self.options.part == "whole":
            return generator
        generator.requires_grad_(False)
        for module in generator.coarse_modules:
            module.requires_grad_(True)
        return CoarseStep(generator)

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        for batch in self.update.parts(micro_batches):
            sr = self.step(batch["lr"])  # coarse or refined
            self.update.backward(self.losses(sr, batch))
        return self.update.step()
