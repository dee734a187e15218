"""The local spectrum as a loss: how much energy each frequency has, whatever its phase.

A network that is trained by distances between pixels or features leaves out texture that it cannot place. This term
asks for the texture's energy in each window, not for its place. Fuoli et al. (Fourier Space Losses for Efficient
Perceptual Image Super-Resolution, ICCV 2021, arXiv 2106.00783) compare amplitudes and phases of the whole patch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from losses.options import LossOptions


class SpectrumLossOptions(LossOptions):
    """Amplitudes of the Fourier transform in windows, compared by their logarithms."""

    window: int = Field(default=16, ge=4, le=64, multiple_of=2)
    """Side of the windows in pixels; they overlap by half."""
    floor: float = Field(default=0.02, gt=0)
    """Amplitude below which differences count less, for images in [0, 1]; white noise of one grey level has about 0.02
    in a window of 16."""


class SpectrumLoss(nn.Module):
    """`weight` times the mean of |log(|F(sr)| + floor) - log(|F(hr)| + floor)| over windows, frequencies and channels.

    `forward(sr, hr)`: float `N×3×h×w` in [0, 1] with sides of a window or more → scalar, in float32.
    """

    taper: Tensor

    def __init__(self, options: SpectrumLossOptions):
        super().__init__()
        self.options = options
        line = torch.hann_window(options.window + 1, periodic=False)[1:]
        self.register_buffer("taper", torch.outer(line, line))

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return self.options.weight * (self._logarithms(sr) - self._logarithms(hr)).abs().mean()

    def _logarithms(self, images: Tensor) -> Tensor:
        side = self.options.window
        planes = images.float().flatten(0, 1)[:, None]
        windows = F.unfold(planes, side, stride=side // 2).transpose(1, 2).unflatten(2, (side, side))
        spectrum = torch.fft.rfft2(windows * self.taper)
        amplitudes = (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt()
        return (amplitudes + self.options.floor).log()
