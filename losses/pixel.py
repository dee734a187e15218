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
    """Largest value of the compared images. CISRNet and CISR-PSI compute L1 on 0–255. It matters only beside another
    loss."""
    eps: float = Field(default=1e-6, gt=0)
    """Charbonnier's ε, on the squared values of `value_range`."""
    luma: float = Field(default=0.0, ge=0)
    """Weight of the same distance between the images' Y (BT.601), added to the distance of R, G and B, which also
    measures errors in colour."""
    balance: float = Field(default=0.0, ge=0, le=1)
    """Keeps strongly compressed patches from dominating the gradient: each patch's distance is divided by the distance
    of the network's input, raised to this power. 0 leaves the distances unchanged; 1 counts each patch by the share of
    its error that remains."""


# R, G and B in Y, from values of one range to values of the same range.
_BT601 = (65.481 / 255, 128.553 / 255, 24.966 / 255)


_REFERENCE = 8 / 255  # a patch whose input is so far from the HR patch (root mean square) counts 1 at any balance
_FLOOR = 1 / 255  # below it an input counts as perfect


class PixelLoss(nn.Module):
    """`weight` times the mean distance of two images, in float32 whatever their type.

    `forward(sr, hr, before=None)`: float tensors of one shape `N×3×h×w` with values in [0, 1] → scalar. `before`, the
    network's input in the output's size, is needed where `balance` is set.

    Raises:
        ValueError: by `forward`, where the shapes differ.
    """

    def __init__(self, options: PixelLossOptions):
        super().__init__()
        self.options = options

    def forward(self, sr: Tensor, hr: Tensor, before: Tensor | None = None) -> Tensor:
        if sr.shape != hr.shape:  # broadcasting would make a number of it
            raise ValueError(f"sr {tuple(sr.shape)} and hr {tuple(hr.shape)} must have one shape")
        shares = self._shares(before, hr) if self.options.balance else None
        difference = (sr.float() - hr.float()) * self.options.value_range
        distance = self._mean(difference, shares)
        if self.options.luma:
            red, green, blue = (weight * difference[:, channel] for channel, weight in enumerate(_BT601))
            luma = red + green + blue
            distance = distance + self.options.luma * self._mean(luma, shares)
        return self.options.weight * distance

    def _mean(self, difference: Tensor, shares: Tensor | None) -> Tensor:
        if shares is None:
            return mean_distance(difference, self.options.type, self.options.eps)
        distances = distance_of(difference, self.options.type, self.options.eps)
        return (distances.flatten(1).mean(1) * shares).mean()

    def _shares(self, before: Tensor | None, hr: Tensor) -> Tensor:
        """What each image's distance is multiplied with."""
        if before is None or before.shape != hr.shape:
            raise ValueError("pixel.balance: the network's input in the output's size is needed")
        error = (before.float() - hr.float()).square().flatten(1).mean(1).sqrt().clamp(min=_FLOOR)
        power = 2 if self.options.type == "mse" else 1
        return (_REFERENCE / error) ** (power * self.options.balance)


def distance_of(difference: Tensor, type_: Literal["l1", "mse", "charbonnier"], eps: float) -> Tensor:
    """The distance at each element of `difference`; `eps` is for Charbonnier alone."""
    if type_ == "l1":
        return difference.abs()
    if type_ == "mse":
        return difference.square()
    return (difference.square() + eps).sqrt()


def mean_distance(difference: Tensor, type_: Literal["l1", "mse", "charbonnier"], eps: float) -> Tensor:
    """The mean of `distance_of` over all elements."""
    return distance_of(difference, type_, eps).mean()
