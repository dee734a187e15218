"""Recipe `nonlocal_prior`: trains the 88 parameters of CISR-PSI's non-local operator, before all other weights."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data.datasets import Batch
from data.evaluation_sets import EvaluationPair
from data.resize import imresize
from losses import PixelLoss, PixelLossOptions
from models import CISRPSI, Generator
from models.cisr_psi import bicubic_up
from models.resampling import bicubic
from training.optimization import OptimizationOptions
from training.recipes.base import Recipe, RecipeOptions
from training.runtime import Runtime
from training.validation import Validator


class NonLocalPriorOptions(RecipeOptions):
    """Loss of `nonlocal_prior`: L1 between nonlocal(z, blurred y) and y, the compressed and the clean LR image."""

    trains: ClassVar[tuple[str, ...]] = ("cisr_psi",)
    type: Literal["nonlocal_prior"] = "nonlocal_prior"
    kernel: Literal["normalised", "released"] = "normalised"
    """Kernel that blurs the guide: `normalised`, [1 2 1; 2 4 2; 1 2 1] / 16 with repeated borders; `released`, the
    released program's [1 2 1; 2 4 5; 1 2 1], which makes the guide 19 times as bright, with zeros as borders."""


class NonLocalPriorTraining(Recipe):
    """The operator restores a compressed LR image, guided by the blurred clean one (Luo et al., section 3).

    At the end of the stage both operators of the network hold the trained parameters; later stages freeze them.
    """

    Options = NonLocalPriorOptions
    needs_clean_lr = True

    def __init__(self, options: NonLocalPriorOptions, generator: CISRPSI, stage: OptimizationOptions, runtime: Runtime):
        super().__init__(options, generator, stage, runtime)
        self.blur = blurred if options.kernel == "normalised" else blurred_as_released
        self.loss = PixelLoss(PixelLossOptions(type="l1"))

    def make_step(self, generator: CISRPSI) -> nn.Module:
        generator.requires_grad_(False)
        # Both modules share one operator, so that training changes both.
        generator.rem.prior = generator.arm.prior
        return generator.arm.prior.requires_grad_(True)

    def iteration(self, micro_batches: list[Batch]) -> dict[str, Tensor]:
        for batch in self.update.parts(micro_batches):
            clean = batch["clean_lr"] * 255
            restored = self.step(batch["lr"] * 255, self.blur(clean))
            self.update.backward({"l1": self.loss(restored, clean)})
        return self.update.step()

    def outcome(self, generator: Generator, validator: Validator) -> list[str]:
        """The gain of the prior on the validation images, and a warning if it gains nothing."""
        assert isinstance(generator, CISRPSI)
        sets = validator.means(lambda pair: self._gains(generator, pair))
        by_clean, by_step_0, eta = np.mean(list(sets.values()), axis=0)
        lines = [
            f"prior: u is {by_clean:+.3f} dB nearer to the clean LR image than z led by the blurred clean one, "
            f"{by_step_0:+.3f} dB led by bicubic(z) as in step 0; median |η| {eta:.3g}"
        ]
        if min(by_clean, by_step_0) <= 0:
            lines.append(
                "warning: this prior does not bring z nearer to the clean image; train it anew with more iterations "
                "or a higher optimizer.lr before the stages that use it"
            )
        return lines

    def _gains(self, generator: CISRPSI, pair: EvaluationPair) -> list[float]:
        """RGB-PSNR of u minus that of z in dB, with the clean guide and with that of step 0; then the median of |η|."""
        device = next(generator.parameters()).device
        z, clean = (
            torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float()
            for image in (pair.lr, imresize(pair.hr, 1 / generator.scale))
        )
        step_0 = bicubic(bicubic_up(z, generator.scale), (z.shape[2], z.shape[3]))

        def decibels(image: Tensor) -> float:
            # At least the error of rounding to integers: z may be the clean image itself.
            return -10 * math.log10(max(float((image - clean).square().mean()), 1 / 12))

        by_clean, by_step_0 = (generator.nonlocal_prior(z, guide) for guide in (self.blur(clean), step_0))
        eta = float(generator.arm.prior.bandwidths(step_0).abs().median())
        return [decibels(by_clean) - decibels(z), decibels(by_step_0) - decibels(z), eta]


def blurred(image: Tensor) -> Tensor:
    """`N×3×h×w` blurred by the normalised 3×3 kernel [1 2 1; 2 4 2; 1 2 1] / 16; borders repeat their pixels."""
    kernel = [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    return _filtered(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel) / 16


def blurred_as_released(image: Tensor) -> Tensor:
    """`N×3×h×w` filtered by the released program's kernel, not normalised and not symmetric, with zeros as borders."""
    return _filtered(F.pad(image, (1, 1, 1, 1)), [[1, 2, 1], [2, 4, 5], [1, 2, 1]])


def _filtered(padded: Tensor, kernel: list[list[int]]) -> Tensor:
    weights = torch.tensor(kernel, device=padded.device, dtype=padded.dtype).expand(3, 1, 3, 3)
    return F.conv2d(padded, weights, groups=3)
