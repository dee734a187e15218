"""Recipe `coarse_to_fine`: CISRNet's two stages (arXiv 2201.06045, section 3.4)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from models import CISRNet, Generator
from training.optimization import OptimizationOptions
from training.recipes.supervised import Supervised, SupervisedOptions
from training.runtime import Runtime


class CoarseToFineOptions(SupervisedOptions):
    """Losses of `coarse_to_fine`, and the part of the network that the stage trains.

    Stage 1 of the paper: `part: coarse` with 0.1·L1. Stage 2: `part: whole`, where the refined output alone is
    supervised, with 1·L1 + 0.05·VGG.
    """

    trains: ClassVar[tuple[str, ...]] = ("cisrnet",)
    type: Literal["coarse_to_fine"] = "coarse_to_fine"  # type: ignore[assignment]  # another tag than its base
    part: Literal["coarse", "whole"]
    """`coarse`: the coarse network alone, the refinement frozen. `whole`: both, through the refined output."""


class CoarseStep(nn.Module):
    """The coarse estimate as a module of its own, so that it can be wrapped for several processes."""

    def __init__(self, network: CISRNet):
        super().__init__()
        self.network = network

    def forward(self, lr: Tensor) -> Tensor:
        return self.network.coarse(lr)


class CoarseToFine(Supervised):
    """`supervised` on the coarse estimate (stage 1) or on the refined one (stage 2)."""

    Options = CoarseToFineOptions

    def __init__(
        self, options: CoarseToFineOptions, generator: Generator, stage: OptimizationOptions, runtime: Runtime
    ):
        self.part = options.part
        super().__init__(options, generator, stage, runtime)

    def make_step(self, generator: Generator) -> nn.Module:
        if self.part == "whole":
            return generator
        assert isinstance(generator, CISRNet)
        generator.requires_grad_(False)
        for module in generator.coarse_modules:
            module.requires_grad_(True)
        return CoarseStep(generator)
