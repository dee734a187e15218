"""Weights to start a short training from: the network begins as an interpolation instead of as noise.

Networks without a skip from the input image to the output spend their first thousands of iterations on learning to
copy it. Here three feature channels carry R, G and B through the first and last layers and the upsampler.
"""

from __future__ import annotations

import torch
from torch import nn

from models.layers import zero


@torch.no_grad()
def carry_image(conv: nn.Conv2d) -> None:
    """Let the first three output channels be the first three input channels, unchanged; the rest stays as it is."""
    middle = conv.kernel_size[0] // 2
    assert conv.bias is not None
    conv.weight[:3] = 0
    conv.bias[:3] = 0
    for channel in range(3):
        conv.weight[channel, channel, middle, middle] = 1


@torch.no_grad()
def interpolate_image(conv: nn.Conv2d, factor: int) -> None:
    """Let a 3×3 convolution before `PixelShuffle(factor)` upscale the first three channels bilinearly."""
    assert conv.bias is not None
    conv.weight[: 3 * factor**2] = 0
    conv.bias[: 3 * factor**2] = 0
    for row in range(factor):
        for column in range(factor):
            kernel = _taps(row, factor)[:, None] * _taps(column, factor)
            for channel in range(3):
                conv.weight[channel * factor**2 + row * factor + column, channel] = kernel


def start_as_upscaling(first: nn.Conv2d, body_last: nn.Module, upsampler: nn.Sequential, last: nn.Conv2d) -> None:
    """Let `first` → body, plus `first`'s output → `upsampler` → `last` be a bilinear upscaling: the body adds nothing.

    Args:
        body_last: the body's last convolution.
        upsampler: as `models.layers.upsampler` makes it.
    """
    carry_image(first)
    zero(body_last)
    for conv, shuffle in zip(upsampler[::2], upsampler[1::2]):
        assert isinstance(conv, nn.Conv2d) and isinstance(shuffle, nn.PixelShuffle)
        interpolate_image(conv, shuffle.upscale_factor)
    carry_image(last)
    nn.init.zeros_(last.weight[:, 3:])


def _taps(place: int, factor: int) -> torch.Tensor:
    """Bilinear weights of the input pixel before, at and after; `place`: 0 … factor − 1 inside the input pixel."""
    offset = (place + 0.5) / factor - 0.5
    return torch.tensor([max(0.0, -offset), 1 - abs(offset), max(0.0, offset)])
