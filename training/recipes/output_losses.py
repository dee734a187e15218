"""The losses between a restored image and its HR patch that several recipes share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from data.datasets import Batch
from losses import (
    LpipsLoss,
    LpipsLossOptions,
    PerceptualLoss,
    PerceptualLossOptions,
    PixelLoss,
    PixelLossOptions,
    SpectrumLoss,
    SpectrumLossOptions,
)
from training.recipes.base import RecipeOptions


class OutputLossOptions(RecipeOptions):
    """Losses between the generator's output and the HR patch."""

    pixel: PixelLossOptions
    """Loss between pixels."""
    perceptual: PerceptualLossOptions | None = None
    """Loss between features of a classification network; null leaves it out."""
    lpips: LpipsLossOptions | None = None
    """LPIPS as a loss, by another backbone than the one it is measured by; null leaves it out."""
    spectrum: SpectrumLossOptions | None = None
    """Loss between the energies of frequencies in windows, for texture; null leaves it out."""

    def check(self) -> None:
        """Raise LossWeightsError if the weights of a loss are missing."""
        OutputLosses(self)


class OutputLosses(nn.Module):
    """`pixel`, `perceptual`, `lpips` and `spectrum`, each with its weight."""

    def __init__(self, options: OutputLossOptions):
        super().__init__()
        self.pixel = PixelLoss(options.pixel)
        self.pixel_is_balanced = options.pixel.balance > 0
        self.perceptual = None if options.perceptual is None else PerceptualLoss(options.perceptual)
        self.lpips = None if options.lpips is None else LpipsLoss(options.lpips)
        self.spectrum = None if options.spectrum is None else SpectrumLoss(options.spectrum)

    def forward(self, sr: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The weighted losses between `sr` and the batch's `hr` (float N×3×h×w in [0, 1]), by name."""
        hr = batch["hr"]
        terms = {"pixel": self.pixel(sr, hr, _enlarged(batch) if self.pixel_is_balanced else None)}
        if self.perceptual is not None:
            terms["perceptual"] = self.perceptual(sr, hr)
        if self.lpips is not None:
            terms["lpips"] = self.lpips(sr, hr)
        if self.spectrum is not None:
            terms["spectrum"] = self.spectrum(sr, hr)
        return terms


def _enlarged(batch: Batch) -> Tensor:
    """The batch's `lr` in the size of `hr`."""
    size = batch["hr"].shape[2:]
    return batch["lr"] if batch["lr"].shape[2:] == size else F.interpolate(batch["lr"], size=size, mode="bicubic")
