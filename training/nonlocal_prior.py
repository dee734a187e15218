"""Recipe `nonlocal_prior`: the 88 parameters of CISR-PSI's non-local operator, trained before everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from losses import PixelLoss, PixelLossOptions
from models import CISRPSI
from training.recipe import Batch, OneStepRecipe, RecipeOptions

if TYPE_CHECKING:
    from training.options import StageOptions
    from training.runtime import Runtime


class NonLocalPriorOptions(RecipeOptions):
    """`nonlocal_prior` takes no options but its name: L1 between nonlocal(z, blurred z) and the clean LR image z."""

    trains: ClassVar[tuple[str, ...]] = ("cisr_psi",)
    type: Literal["nonlocal_prior"] = "nonlocal_prior"


class NonLocalPriorTraining(OneStepRecipe):
    """The operator sees a clean LR image with a blurred one as its guide, and shall give the clean one back.

    (Luo et al., section 3; the guide is blurred with [1 2 1; 2 4 2; 1 2 1] / 16. The released program's kernel is not
    normalised and not symmetric, a slip that is not repeated.) At the end of the stage both operators of the network
    hold the trained parameters; they stay frozen in later stages.
    """

    Options = NonLocalPriorOptions
    needs_clean_lr = True

    def __init__(self, options: NonLocalPriorOptions, generator: CISRPSI, stage: StageOptions, runtime: Runtime):
        del options
        self.loss = PixelLoss(PixelLossOptions(type="l1"))
        generator.requires_grad_(False)
        # One operator while they are trained: what one learns the other holds.
        generator.rem.prior = generator.arm.prior
        super().__init__(generator, generator.arm.prior.requires_grad_(True), stage, runtime)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        clean = batch["clean_lr"] * 255
        return {"loss": self.loss(self.step(clean, blurred(clean)), clean)}


def blurred(image: Tensor) -> Tensor:
    """`N×3×h×w` under the normalised 3×3 kernel [1 2 1; 2 4 2; 1 2 1] / 16; borders repeat their pixels."""
    line = torch.tensor([0.25, 0.5, 0.25], device=image.device, dtype=image.dtype)
    kernel = (line[:, None] * line).expand(3, 1, 3, 3)
    return F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
