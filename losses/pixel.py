"""Losses between the pixels of two images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from losses.options import LossOptions


class PixelLossOptions(LossOptions):
    """Which distance, and on which values."""

    type: Literal["l1", "mse", "charbonnier"]
    """`l1` mean |d|, `mse` mean d², `charbonnier` mean √(d² + eps)."""
    value_range: Literal[1, 255] = 1
    """Largest value of the images that are compared. CISRNet and CISR-PSI take their L1 on 0–255; only beside
    another loss does it matter."""
    eps: float = Field(default=1e-6, gt=0)
    """Charbonnier's ε, on the squared values of `value_range`."""
    luma: float = Field(default=0.0, ge=0)
    """Factor of the same distance between the images' Y (BT.601), added to that of R, G and B: Y-PSNR does not see
    errors of colour, they do."""


# R, G and B in Y, from values of one range to values of the same range.
_BT601 = (65.481 / 255, 128.553 / 255, 24.966 / 255)


class PixelLoss(nn.Module):
    """`weight` times the mean distance of two images, in float32 whatever their type.

    `forward(sr, hr)`: two float tensors of one shape with values in [0, 1] → scalar.

    Raises:
        ValueError: by `forward`, where the shapes differ.
    """

    def __init__(self, options: PixelLossOptions):
        super().__init__()
        self.options = options

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        if sr.shape != hr.shape:  # broadcasting would make a number of it
            raise ValueError(f"sr {tuple(sr.shape)} and hr {tuple(hr.shape)} must have one shape")
        difference = (sr.float() - hr.float()) * self.options.value_range
        distance = mean_distance(difference, self.options.type, self.options.eps)
        if self.options.luma:
            luma = sum(weight * difference[:, channel] for channel, weight in enumerate(_BT601))
            distance = distance + self.options.luma * mean_distance(luma, self.options.type, self.options.eps)
        return self.options.weight * distance


def mean_distance(difference: Tensor, type_: Literal["l1", "mse", "charbonnier"], eps: float) -> Tensor:
    """The mean of a distance over all elements of `difference`; `eps` is for Charbonnier alone."""
    if type_ == "l1":
        return difference.abs().mean()
    if type_ == "mse":
        return difference.square().mean()
    return (difference.square() + eps).sqrt().mean()
