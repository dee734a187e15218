"""Recipe `supervised`: pixel and perceptual losses on the generator's output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import Tensor, nn

from losses import PerceptualLoss, PerceptualLossOptions, PixelLoss, PixelLossOptions
from models import Generator
from training.optimizers import build_optimizer, set_learning_rate
from training.recipe import Batch, Recipe, RecipeOptions, add_terms, clip_gradients, each_micro_batch

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


class Supervised(Recipe):
    """The generator's output against the HR patch: `pixel + perceptual`."""

    Options = SupervisedOptions

    def __init__(self, options: SupervisedOptions, generator: Generator, stage: StageOptions, runtime: Runtime):
        self.stage, self.runtime = stage, runtime
        self.networks = {"generator": generator}
        self.losses = nn.ModuleDict({"pixel": PixelLoss(options.pixel)})
        if options.perceptual is not None:
            self.losses["perceptual"] = PerceptualLoss(options.perceptual)
        runtime.place(self.losses)
        step = self.make_step(generator)
        optimizer = build_optimizer(stage.optimizer, generator.parameters(), fused=runtime.fused)
        self.step, self.optimizer = runtime.prepare(step, optimizer)
        self.trained = [parameter for parameter in generator.parameters() if parameter.requires_grad]
        self.optimizers = {"generator": self.optimizer}

    @classmethod
    def check(cls, options: SupervisedOptions) -> None:
        if options.perceptual is not None:
            PerceptualLoss(options.perceptual)

    def make_step(self, generator: Generator) -> nn.Module:
        """The module whose forward is one optimiser step's computation, lr → sr; freezes what it does not use."""
        return generator

    def set_iteration(self, iteration: int) -> None:
        factor = self.stage.schedule.factor(iteration, self.stage.iterations)
        set_learning_rate(self.optimizer, self.stage.optimizer.lr * factor)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Forward and losses of one micro-batch: each weighted term by name, and their sum `loss`."""
        sr = self.step(batch["lr"])
        terms = {name: loss(sr, batch["hr"]) for name, loss in self.losses.items()}
        return {"loss": sum(terms.values()), **(terms if len(terms) > 1 else {})}

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        accelerator = self.runtime.accelerator
        share = 1 / len(micro_batches)
        total: dict[str, Tensor] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for batch in each_micro_batch(accelerator, self.step, micro_batches):
            terms = self.terms(batch)
            accelerator.backward(terms["loss"] * share)
            add_terms(total, terms, share)
        norm = clip_gradients(accelerator, self.trained, self.stage.clip_grad_norm)
        self.optimizer.step()
        return total if norm is None else {**total, "grad_norm": norm}
