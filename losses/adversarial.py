"""The relativistic average GAN (Jolicoeur-Martineau, ICLR 2019; ESRGAN, arXiv 1809.00219, section 3.2).

The discriminator says how much more real an image is than the other kind is *on average*. With several
processes that average should be everybody's: every method takes the mean of the other logits, so that it can
be gathered first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from losses.options import LossOptions


class AdversarialLossOptions(LossOptions):
    """The default is SubjectiveQE-ESRGAN's (and ESRGAN's) weight."""

    weight: float = Field(default=0.005, ge=0)
    """Factor of the generator's term in its sum; the discriminator's own loss is not weighted."""


class RelativisticAverageGAN:
    """Binary cross-entropy on `logits − mean of the other kind's logits`, in float32 whatever their type.

    Arguments are logits of the discriminator for a batch, of any shape, and means of such logits: scalar
    tensors on the same device.
    """

    def __init__(self, options: AdversarialLossOptions):
        self.options = options

    def generator(
        self, d_sr: Tensor, d_hr: Tensor, mean_sr: Tensor | None = None, mean_hr: Tensor | None = None
    ) -> Tensor:
        """The generator's term, weighted: SR should look more real than HR on average, and HR less than SR.

        Args:
            d_sr: D(sr), with gradient to `sr`; D's parameters should be frozen.
            d_hr: D(hr); no gradient flows to it.
            mean_sr: mean of D(sr) over all processes, with gradient; None: of `d_sr`.
            mean_hr: mean of D(hr) over all processes; None: of `d_hr`.
        """
        d_sr, d_hr = d_sr.float(), d_hr.detach().float()
        mean_sr = d_sr.mean() if mean_sr is None else mean_sr.float()
        mean_hr = d_hr.mean() if mean_hr is None else mean_hr.detach().float()
        return self.options.weight * (_says_sr(d_hr - mean_sr) + _says_hr(d_sr - mean_hr)) / 2

    def discriminator_hr(self, d_hr: Tensor, mean_sr: Tensor) -> Tensor:
        """The discriminator's half for HR, which should look more real than SR on average."""
        return _says_hr(d_hr.float() - mean_sr.detach().float()) / 2

    def discriminator_sr(self, d_sr: Tensor, mean_hr: Tensor) -> Tensor:
        """The discriminator's half for SR (`d_sr` = D(sr.detach())): less real than HR on average."""
        return _says_sr(d_sr.float() - mean_hr.detach().float()) / 2


def _says_hr(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))


def _says_sr(logits: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
