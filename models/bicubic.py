"""MATLAB's bicubic upscaling as a generator: the baseline row of every table."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from models.generator import Generator, GeneratorOptions

_MARGIN = 8  # LR pixels on each side; the cubic kernel reaches 2


class BicubicOptions(GeneratorOptions):
    """Bicubic has no weights; at scale 1 it returns its input, the row `compressed input`."""

    type: Literal["bicubic"] = "bicubic"


class Bicubic(Generator):
    """`imresize(lr, scale)`: cubic with a = −0.5, symmetric borders, rounded to 8 bits before and after each axis.

    Equals `data.resize.imresize` (tested), on any device. Computed in float64, as ties at scale 3 depend on it.
    """

    Options = BicubicOptions
    trainable = False

    def forward(self, lr: Tensor) -> Tensor:
        if self.scale == 1:
            return lr
        image = (lr.double() * 255).round()  # exact again: k / 255 in float32 times 255 is not always k
        for axis in (2, 3):
            size = image.shape[axis]
            # Symmetric padding (the edge pixel repeats) by index, right for images narrower than the margin too.
            index = torch.arange(-_MARGIN, size + _MARGIN, device=lr.device) % (2 * size)
            padded = image.index_select(axis, torch.where(index < size, index, 2 * size - 1 - index))
            target = list(padded.shape[2:])
            target[axis - 2] *= self.scale
            # antialias selects a = −0.5; an upscaling kernel is not widened by it.
            resized = F.interpolate(padded, size=target, mode="bicubic", antialias=True)
            resized = resized.narrow(axis, _MARGIN * self.scale, size * self.scale)
            image = (resized + 0.5).floor().clamp(0, 255)
        return (image / 255).to(lr.dtype)
