"""Recipe `adversarial`: ESRGAN's training with a discriminator (arXiv 1809.00219, sections 3.2 and 3.4).

The generator's update comes first, with the discriminator frozen; then the discriminator's, on the same images. As
the discriminator has not changed in between, the means of its logits that the first update takes are the second's too.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from losses import AdversarialLossOptions, PerceptualLossOptions, PixelLossOptions, RelativisticAverageGAN
from models import DiscriminatorOptions, Generator, build_discriminator
from training.optimization import OptimizationOptions, OptimizerOptions, build_optimizer, set_learning_rate
from training.recipes.base import Batch, sum_of, take_step
from training.recipes.supervised import Supervised, SupervisedOptions
from training.runtime import Runtime


class AdversarialPixelLossOptions(PixelLossOptions):
    """PixelLoss with SubjectiveQE-ESRGAN's defaults."""

    type: Literal["l1", "mse", "charbonnier"] = "charbonnier"
    """`l1` mean |d|, `mse` mean d², `charbonnier` mean √(d² + eps)."""
    weight: float = Field(default=0.01, ge=0)
    """Factor of this term in the sum."""


class AdversarialPerceptualLossOptions(PerceptualLossOptions):
    """PerceptualLoss with SubjectiveQE-ESRGAN's defaults."""

    weight: float = Field(default=1.0, ge=0)
    """Factor of this term in the sum."""
    distance: Literal["l2", "charbonnier", "l1"] = "charbonnier"
    """`l2` mean d², `charbonnier` mean √(d² + eps), `l1` mean |d|."""


class AdversarialOptions(SupervisedOptions):
    """Losses of `adversarial` and its discriminator; the defaults are SubjectiveQE-ESRGAN's.

    The generator's loss is `perceptual + lpips + pixel + adversarial`, and its `optimizer` is the stage's.
    """

    type: Literal["adversarial"] = "adversarial"  # type: ignore[assignment]  # another tag than its base
    pixel: AdversarialPixelLossOptions = AdversarialPixelLossOptions()
    """Loss between pixels."""
    perceptual: AdversarialPerceptualLossOptions | None = AdversarialPerceptualLossOptions()
    """Loss between features of a classification network; null leaves it out."""
    adversarial: AdversarialLossOptions = AdversarialLossOptions()
    """The generator's term of the relativistic average GAN."""
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    """The network that tells HR from restored patches; starts from random weights."""
    optimizer: OptimizerOptions | None = None
    """The discriminator's; null: as the stage's. The stage's `schedule` and `clip_grad_norm` are for both."""

    @property
    def hr_patch_size(self) -> int:
        return self.discriminator.patch_size


class Adversarial(Supervised):
    """Two updates an iteration: the generator's, then the discriminator's.

    The discriminator is always in training mode, as in the released program: batch norm takes the statistics of what
    it judges, HR or SR patches of one micro-batch on one process. The relativistic means are those of a micro-batch,
    over all processes.
    """

    Options = AdversarialOptions
    options: AdversarialOptions

    def __init__(self, options: AdversarialOptions, generator: Generator, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(options, generator, stage, runtime)
        self.gan = RelativisticAverageGAN(options.adversarial)
        self.discriminator = runtime.place(build_discriminator(options.discriminator))
        self.judge_options = options.optimizer or stage.optimizer
        optimizer = build_optimizer(self.judge_options, self.discriminator.parameters(), fused=runtime.fused)
        self.judge, self.judge_optimizer = runtime.prepare(self.discriminator, optimizer)
        self.discriminator.requires_grad_(False)  # but while it is updated
        self.networks["discriminator"] = self.discriminator
        self.optimizers["discriminator"] = self.judge_optimizer

    def set_iteration(self, iteration: int) -> None:
        super().set_iteration(iteration)
        factor = self.stage.schedule.factor(iteration, self.stage.iterations)
        set_learning_rate(self.judge_optimizer, self.judge_options.lr * factor)

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        micro_batches = [dict(batch) for batch in micro_batches]  # `terms` adds to them
        terms = self.optimize(micro_batches, self.terms)
        self.discriminator.requires_grad_(True)
        halves = [(kind, batch) for batch in micro_batches for kind in ("hr", "sr")]
        share = 1 / len(micro_batches)
        judged = take_step(self.runtime, self.stage, self.judge, self.judge_optimizer, halves, self.judged, share)
        self.discriminator.requires_grad_(False)
        return {**terms, **{"discriminator" if name == "loss" else f"{name}_d": t for name, t in judged.items()}}

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """The generator's, and the means of D(hr) and D(sr); `batch` gains what the discriminator's update takes."""
        sr = self.restore(batch)
        # Frozen, it has no gradients to exchange.
        with self.runtime.accelerator.no_sync(self.judge):
            with torch.no_grad():
                d_hr = self.judge(batch["hr"])
            d_sr = self.judge(sr)
        mean_hr, mean_sr = (self.runtime.mean(logits.float().mean()) for logits in (d_hr, d_sr))
        batch.update(sr=sr.detach(), mean_hr=mean_hr, mean_sr=mean_sr.detach())
        terms = self.compare(sr, batch)
        terms["adversarial"] = self.gan.generator(d_sr, d_hr, mean_sr, mean_hr)
        return {"loss": sum_of(terms), **terms, "d_hr": mean_hr, "d_sr": mean_sr}

    def judged(self, half: tuple[str, Batch]) -> dict[str, Tensor]:
        """The discriminator's loss on one kind of patches, `hr` or `sr`."""
        kind, batch = half
        logits = self.judge(batch[kind])
        if kind == "hr":
            return {"loss": self.gan.discriminator_hr(logits, batch["mean_sr"])}
        return {"loss": self.gan.discriminator_sr(logits, batch["mean_hr"])}
