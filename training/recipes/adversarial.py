"""Recipe `adversarial`: ESRGAN's training with a discriminator (arXiv 1809.00219, sections 3.2 and 3.4).

The generator is updated first, with the discriminator frozen, then the discriminator on the same images. The first
update does not change the discriminator, so the second reuses the means of its logits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from data.datasets import Batch
from losses import AdversarialLossOptions, PerceptualLossOptions, PixelLossOptions, RelativisticAverageGAN
from models import DiscriminatorOptions, Generator, build_discriminator
from training.optimization import OptimizationOptions, OptimizerOptions
from training.recipes.base import Recipe, inputs
from training.recipes.output_losses import OutputLosses, OutputLossOptions
from training.recipes.update import Update
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


class AdversarialOptions(OutputLossOptions):
    """Losses of `adversarial` and its discriminator; the defaults are SubjectiveQE-ESRGAN's.

    The generator's loss is `perceptual + lpips + spectrum + pixel + adversarial`, and its `optimizer` is the stage's.
    """

    type: Literal["adversarial"] = "adversarial"
    pixel: AdversarialPixelLossOptions = AdversarialPixelLossOptions()
    """Loss between pixels."""
    perceptual: AdversarialPerceptualLossOptions | None = AdversarialPerceptualLossOptions()
    """Loss between features of a classification network; null leaves it out."""
    adversarial: AdversarialLossOptions = AdversarialLossOptions()
    """The generator's term of the relativistic average GAN."""
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    """The network that distinguishes HR from restored patches; it starts from random weights."""
    optimizer: OptimizerOptions | None = None
    """Optimiser of the discriminator; null: as the stage's. Both use the stage's `schedule` and `clip_grad_norm`."""

    @property
    def hr_patch_size(self) -> int:
        return self.discriminator.patch_size


class Adversarial(Recipe):
    """Two updates an iteration: the generator's, then the discriminator's.

    The discriminator is always in training mode, as in the released program: batch norm uses the statistics of the
    images that are judged, HR or SR patches of one micro-batch on one process. The relativistic means are over one
    micro-batch and all processes.
    """

    Options = AdversarialOptions

    def __init__(self, options: AdversarialOptions, generator: Generator, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(options, generator, stage, runtime)
        self.losses = runtime.place(OutputLosses(options))
        self.gan = RelativisticAverageGAN(options.adversarial)
        self.discriminator = runtime.place(build_discriminator(options.discriminator))
        self.judge_update = Update(self.discriminator, options.optimizer or stage.optimizer, stage, runtime)
        self.judge = self.judge_update.network
        self.discriminator.requires_grad_(False)  # except while it is updated
        self.networks["discriminator"] = self.discriminator
        self.optimizers["discriminator"] = self.judge_update.optimizer

    def set_iteration(self, iteration: int, done: int | None = None) -> None:
        super().set_iteration(iteration, done)
        self.judge_update.set_iteration(iteration, done)

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        """`discriminator` is its loss, `d_hr` and `d_sr` are the means of its logits; `*_d` belong to its update."""
        # Images, the mean logit of the other kind, the discriminator's loss of both.
        to_judge: list[tuple[Tensor, Tensor, Callable[[Tensor, Tensor], Tensor]]] = []
        for batch in self.update.parts(micro_batches):
            sr = self.step(*inputs(batch))
            with self.runtime.accelerator.no_sync(self.judge):  # frozen, it has no gradients to exchange
                with torch.no_grad():
                    d_hr = self.judge(batch["hr"])
                d_sr = self.judge(sr)
            mean_hr, mean_sr = (self.runtime.mean(logits.float().mean()) for logits in (d_hr, d_sr))
            terms = self.losses(sr, batch)
            terms["adversarial"] = self.gan.generator(d_sr, d_hr, mean_sr, mean_hr)
            self.update.backward(terms, d_hr=mean_hr, d_sr=mean_sr)
            to_judge.append((batch["hr"], mean_sr.detach(), self.gan.discriminator_hr))
            to_judge.append((sr.detach(), mean_hr, self.gan.discriminator_sr))
        of_generator = self.update.step()

        self.discriminator.requires_grad_(True)
        for images, mean_of_other, loss_of in self.judge_update.parts(to_judge, share=1 / len(micro_batches)):
            self.judge_update.backward({"discriminator": loss_of(self.judge(images), mean_of_other)})
        of_judge = self.judge_update.step()
        self.discriminator.requires_grad_(False)
        discriminator = {"discriminator": of_judge.pop("loss")}
        return {**of_generator, **discriminator, **{f"{name}_d": value for name, value in of_judge.items()}}
