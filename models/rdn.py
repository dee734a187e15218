"""RDN: a residual dense network (Zhang et al., CVPR 2018, arXiv 1802.08797), a baseline of CISRNet's Table 1."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.interpolation_start import start_as_upscaling
from models.layers import conv3, to_image3, upsampler


class RDNOptions(GeneratorOptions):
    """Sizes of RDN; the defaults are its authors' configuration B."""

    type: Literal["rdn"] = "rdn"
    scale: Literal[2, 3, 4]
    """2, 3 or 4."""
    num_feat: int = Field(default=64, ge=3, le=MOST_CHANNELS)
    """Channels between the blocks."""
    num_grow_ch: int = Field(default=64, ge=1, le=MOST_CHANNELS)
    """Channels that each layer of a block adds."""
    blocks: int = Field(default=16, ge=1, le=MOST_PARTS)
    """Residual dense blocks."""
    layers: int = Field(default=8, ge=1, le=MOST_PARTS)
    """3×3 convolutions in each block."""


class ResidualDenseBlock(nn.Module):
    """3×3 convolutions, each on the concatenation of all before it, fused by a 1×1 one; plus a skip (section 3.2)."""

    def __init__(self, num_feat: int, num_grow_ch: int, layers: int):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(conv3(num_feat + number * num_grow_ch, num_grow_ch), nn.ReLU(inplace=True))
            for number in range(layers)
        )
        self.fuse = nn.Conv2d(num_feat + layers * num_grow_ch, num_feat, 1)

    def forward(self, features: Tensor) -> Tensor:
        seen = features
        for layer in self.layers:
            seen = torch.cat([seen, layer(seen)], dim=1)
        return features + self.fuse(seen)


class RDN(Generator):
    """The whole network; works on 0–255."""

    Options = RDNOptions

    def __init__(self, options: RDNOptions):
        super().__init__(options)
        feat = options.num_feat
        self.first = conv3(3, feat)
        self.second = conv3(feat, feat)
        self.blocks = nn.ModuleList(
            ResidualDenseBlock(feat, options.num_grow_ch, options.layers) for _ in range(options.blocks)
        )
        self.fuse = nn.Sequential(nn.Conv2d(options.blocks * feat, feat, 1), conv3(feat, feat))
        self.upsampler = upsampler(feat, options.scale)
        self.last = to_image3(feat)

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`."""
        first = self.first(lr * 255)
        features, outputs = self.second(first), []
        for block in self.blocks:
            features = block(features)
            outputs.append(features)
        body = first + self.fuse(torch.cat(outputs, dim=1))
        return self.last(self.upsampler(body)) / 255

    def start_as_interpolation(self) -> None:
        """Three feature channels carry the image to a bilinear upscaling; the blocks add nothing yet."""
        start_as_upscaling(self.first, self.fuse[-1], self.upsampler, self.last)
