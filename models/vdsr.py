"""VDSR: twenty convolutions on the interpolated image (Kim et al., CVPR 2016, arXiv 1511.04587).

As a baseline of CISRNet's Table 1 it works on RGB; the network of its authors works on luminance alone.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.layers import div2k_mean, relu_stack, zero


class VDSROptions(GeneratorOptions):
    """Sizes of VDSR; the defaults are the paper's. One network for every scale: the image is enlarged before it."""

    type: Literal["vdsr"] = "vdsr"
    num_feat: int = Field(default=64, ge=1, le=MOST_CHANNELS)
    """Channels of every feature map."""
    layers: int = Field(default=20, ge=2, le=MOST_PARTS)
    """Convolutions, the first and the last among them."""


class VDSR(Generator):
    """Bicubic interpolation plus the output of the convolutions; works on 0–255 minus DIV2K's mean colour.

    The interpolation has MATLAB's kernel (a = −0.5), but is neither rounded nor mirrored at the borders.
    """

    Options = VDSROptions
    mean: Tensor

    def __init__(self, options: VDSROptions):
        super().__init__(options)
        self.body = relu_stack(3, options.num_feat, options.layers)
        self.register_buffer("mean", div2k_mean(), persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`."""
        # antialias selects a = −0.5; an upscaling kernel is not widened by it.
        image = F.interpolate(lr * 255, scale_factor=self.scale, mode="bicubic", antialias=True)
        return (image + self.body(image - self.mean)) / 255  # the mean is still in `image`: nothing to add back

    def start_as_interpolation(self) -> None:
        """The convolutions add nothing yet: the output is the interpolated image."""
        zero(self.body[-1])
