"""CISRNet: a coarse and a refinement network with dual attention (Gunawan & Madjid, arXiv 2201.06045)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.interpolation_start import start_as_upscaling
from models.layers import (
    ChannelAttention,
    ResidualGroup,
    SpatialAttention,
    attention_has_channels,
    conv3,
    to_image3,
    upsampler,
    zero,
)

BlockKind = Literal["parallel", "sequential"]


class CISRNetOptions(GeneratorOptions):
    """Sizes of CISRNet; the defaults are the paper's (section 3.4)."""

    type: Literal["cisrnet"] = "cisrnet"
    scale: Literal[2, 3, 4]
    """2, 3 or 4."""
    num_feat: int = Field(default=96, ge=1, le=MOST_CHANNELS)
    """Channels of every feature map."""
    reduction: int = Field(default=8, ge=1, le=MOST_CHANNELS)
    """Channel attention squeezes `num_feat` by this factor."""
    coarse_groups: int = Field(default=4, ge=1, le=MOST_PARTS)
    """Residual groups of the coarse network, at LR size (the paper's Table 2 tries 3 to 6)."""
    coarse_blocks: int = Field(default=8, ge=1, le=MOST_PARTS)
    """Attention blocks in each coarse group."""
    coarse_block_kind: BlockKind = "parallel"
    """Coarse blocks: `parallel` (PDAB) or `sequential` (SDAB)."""
    fine_groups: int = Field(default=2, ge=0, le=MOST_PARTS)
    """Residual groups of the refinement network, at HR size; 0 leaves the refinement out (coarse only)."""
    fine_blocks: int = Field(default=8, ge=1, le=MOST_PARTS)
    """Attention blocks in each refinement group."""
    fine_block_kind: BlockKind = "sequential"
    """Refinement blocks: `parallel` (PDAB) or `sequential` (SDAB)."""

    _attention_has_channels = model_validator(mode="after")(attention_has_channels)


class DualAttentionBlock(nn.Module):
    """Two 3×3 convolutions, spatial and channel attention, plus a skip (section 3.3, Figures 4 and 5).

    `parallel` (PDAB): both attentions see the same features and a 1×1 convolution mixes their outputs.
    `sequential` (SDAB): channel attention first, spatial attention on its output.
    """

    def __init__(self, num_feat: int, reduction: int, kind: BlockKind):
        super().__init__()
        self.convs = nn.Sequential(conv3(num_feat, num_feat), nn.ReLU(inplace=True), conv3(num_feat, num_feat))
        self.spatial = SpatialAttention()
        self.channel = ChannelAttention(num_feat, reduction, bias=False)
        self.mix = nn.Conv2d(2 * num_feat, num_feat, 1) if kind == "parallel" else None

    def forward(self, features: Tensor) -> Tensor:
        body = self.convs(features)
        if self.mix is None:
            return features + self.spatial(self.channel(body))
        return features + self.mix(torch.cat([self.spatial(body), self.channel(body)], dim=1))


class CISRNet(Generator):
    """The whole network; works on 0–255 inside, as the released weights were trained."""

    Options = CISRNetOptions

    def __init__(self, options: CISRNetOptions):
        super().__init__(options)
        feat = options.num_feat

        def groups(count: int, blocks: int, kind: BlockKind) -> list[nn.Module]:
            return [
                ResidualGroup([DualAttentionBlock(feat, options.reduction, kind) for _ in range(blocks)], feat)
                for _ in range(count)
            ]

        self.coarse_first = conv3(3, feat)
        self.coarse_groups = nn.Sequential(
            *groups(options.coarse_groups, options.coarse_blocks, options.coarse_block_kind)
        )
        self.coarse_body_last = conv3(feat, feat)
        self.coarse_upsampler = upsampler(feat, options.scale)
        self.coarse_last = to_image3(feat)
        self.fine: nn.Sequential | None = None
        if options.fine_groups:
            self.fine = nn.Sequential(
                conv3(3, feat),
                nn.Sequential(*groups(options.fine_groups, options.fine_blocks, options.fine_block_kind)),
                conv3(feat, 3),
            )

    def forward(self, lr: Tensor) -> Tensor:
        """The refined image (the coarse one where `fine_groups` is 0). Shapes and range: see `Generator`."""
        return self.coarse_and_fine(lr)[1]

    def coarse(self, lr: Tensor) -> Tensor:
        """The coarse network's HR estimate alone: what stage 1 trains. Shapes and range: see `Generator`."""
        return self._coarse_255(lr * 255) / 255

    def coarse_and_fine(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Both HR estimates, coarse first. Shapes and range: see `Generator`."""
        coarse = self._coarse_255(lr * 255)
        fine = coarse if self.fine is None else coarse + self.fine(coarse)
        return coarse / 255, fine / 255

    def _coarse_255(self, lr_255: Tensor) -> Tensor:
        first = self.coarse_first(lr_255)
        body = first + self.coarse_body_last(self.coarse_groups(first))
        return self.coarse_last(self.coarse_upsampler(body))

    def start_as_interpolation(self) -> None:
        """Three feature channels carry the image to a bilinear upscaling; body and refinement add nothing yet."""
        start_as_upscaling(self.coarse_first, self.coarse_body_last, self.coarse_upsampler, self.coarse_last)
        if self.fine is not None:
            zero(self.fine[-1])

    @property
    def coarse_modules(self) -> list[nn.Module]:
        """The modules that the coarse estimate uses: stage 1 trains these and freezes the rest."""
        return [
            self.coarse_first,
            self.coarse_groups,
            self.coarse_body_last,
            self.coarse_upsampler,
            self.coarse_last,
        ]
