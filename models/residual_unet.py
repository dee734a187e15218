"""A residual U-Net at half resolution that reads a JPEG's quantisation: artefact removal at the same size.

Residual blocks in a U-Net with a plane that tells how much is to be removed, as in DRUNet (Zhang et al., TPAMI 2021,
arXiv 2008.13751, section 3.2); here the planes say how coarsely the file was quantised, and the image is folded by
pixel-unshuffle first, which quarters the cost of every layer and doubles its reach over the 8×8 blocks. A skip from
input to output lets a clean image pass at no cost.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.layers import conv3, pad_to_multiple, zero

_FOLD = 2

_Channels = Annotated[int, Field(le=MOST_CHANNELS)]
_Parts = Annotated[int, Field(le=MOST_PARTS)]


class ResidualUNetOptions(GeneratorOptions):
    """Sizes of the network; the defaults are those of the bundled one."""

    type: Literal["residual_unet"] = "residual_unet"
    scale: Literal[1] = 1
    widths: Annotated[tuple[_Channels, ...], Field(min_length=1, max_length=4)] = (64, 96)
    """Channels at half resolution, at a quarter, and so on."""
    blocks: Annotated[tuple[_Parts, ...], Field(min_length=1, max_length=4)] = (2, 4)
    """Residual blocks of each width: before and after the coarser widths, and for the coarsest once."""

    @model_validator(mode="after")
    def _one_number_a_width(self) -> ResidualUNetOptions:
        if len(self.blocks) != len(self.widths) or min(*self.widths, *self.blocks, 1) < 1:
            raise ValueError(f"widths {list(self.widths)} and blocks {list(self.blocks)}: give as many, all positive")
        return self


class ResidualBlock(nn.Module):
    """3×3 → ReLU → 3×3, plus a skip."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1, self.conv2 = conv3(width, width), conv3(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv2(F.relu(self.conv1(features), inplace=True))


class ResidualUNet(Generator):
    """The whole network. Sides that are no multiple of its coarsest pixel are padded by reflection and cropped.

    `forward(lr, steps=None)`: float `N×3×h×w` in [0, 1] → the same shape. `steps` (float `N×2`) are the mean
    quantisation steps of luma and chroma, 1 to 255, of the JPEG that the image was decoded from; 0, or None for all:
    unknown.
    """

    Options = ResidualUNetOptions
    options: ResidualUNetOptions
    reads_steps = True

    def __init__(self, options: ResidualUNetOptions):
        super().__init__(options)
        widths, blocks = self.options.widths, self.options.blocks
        self.multiple = _FOLD * 2 ** (len(widths) - 1)
        self.head = conv3(3 * _FOLD**2 + 3, widths[0])
        self.encoder = nn.ModuleList(_blocks(width, count) for width, count in zip(widths[:-1], blocks))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.middle = _blocks(widths[-1], blocks[-1])
        self.ups = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(_blocks(width, count) for width, count in zip(widths[:-1], blocks))
        self.tail = conv3(widths[0], 3 * _FOLD**2)
        zero(self.tail)  # untrained, the network changes nothing

    def forward(self, lr: Tensor, steps: Tensor | None = None) -> Tensor:
        height, width = lr.shape[2:]
        padded = pad_to_multiple(lr, self.multiple)
        folded = F.pixel_unshuffle(padded, _FOLD)
        features = self.head(torch.cat([folded, _planes(steps, folded)], dim=1))
        skips = []
        for blocks, down in zip(self.encoder, self.downs):
            features = blocks(features)
            skips.append(features)
            features = down(features)
        features = self.middle(features)
        for blocks, up, skip in zip(reversed(self.decoder), reversed(self.ups), reversed(skips)):
            features = blocks(skip + F.pixel_shuffle(up(features), 2))
        # In float32 whatever the autocast type: bfloat16 cannot tell neighbouring grey levels of a bright pixel apart.
        restored = padded.float() + F.pixel_shuffle(self.tail(features), _FOLD).float()
        return restored[..., :height, :width]


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def _planes(steps: Tensor | None, folded: Tensor) -> Tensor:
    """Constant planes `N×3×h×w`: the logarithms of both steps, in [0, 1], and whether they are known."""
    images, _, height, width = folded.shape
    if steps is None:
        return folded.new_zeros(images, 3, height, width)
    known = steps[:, :1] > 0
    logarithms = torch.where(known, steps.clamp(min=1).log() / math.log(255), 0)
    planes = torch.cat([logarithms, known.to(logarithms.dtype)], dim=1).to(folded.dtype)
    return planes[:, :, None, None].expand(-1, -1, height, width)
