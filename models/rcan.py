"""RCAN: residual channel attention in groups (Zhang et al., ECCV 2018, arXiv 1807.02758), as in CISRNet's Table 1."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.interpolation_start import start_as_upscaling
from models.layers import RCAB, ResidualGroup, attention_has_channels, conv3, div2k_mean, to_image3, upsampler


class RCANOptions(GeneratorOptions):
    """Sizes of RCAN; the defaults are the paper's."""

    type: Literal["rcan"] = "rcan"
    scale: Literal[2, 3, 4]
    """2, 3 or 4."""
    num_feat: int = Field(default=64, ge=3, le=MOST_CHANNELS)
    """Channels of every feature map."""
    reduction: int = Field(default=16, ge=1, le=MOST_CHANNELS)
    """Channel attention squeezes `num_feat` by this factor."""
    groups: int = Field(default=10, ge=1, le=MOST_PARTS)
    """Residual groups."""
    blocks: int = Field(default=20, ge=1, le=MOST_PARTS)
    """Residual channel attention blocks in each group."""

    _attention_has_channels = model_validator(mode="after")(attention_has_channels)


class RCAN(Generator):
    """The whole network; works on 0–255 less DIV2K's mean colour."""

    Options = RCANOptions
    mean: Tensor

    def __init__(self, options: RCANOptions):
        super().__init__(options)
        feat = options.num_feat
        self.first = conv3(3, feat)
        self.groups = nn.Sequential(
            *(
                ResidualGroup([RCAB(feat, options.reduction) for _ in range(options.blocks)], feat)
                for _ in range(options.groups)
            )
        )
        self.body_last = conv3(feat, feat)
        self.upsampler = upsampler(feat, options.scale)
        self.last = to_image3(feat)
        self.register_buffer("mean", div2k_mean(), persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`."""
        first = self.first(lr * 255 - self.mean)
        body = first + self.body_last(self.groups(first))
        return (self.last(self.upsampler(body)) + self.mean) / 255

    def start_as_interpolation(self) -> None:
        """Three feature channels carry the image to a bilinear upscaling; the groups add nothing yet."""
        start_as_upscaling(self.first, self.body_last, self.upsampler, self.last)
