"""The discriminators of ESRGAN's training: the VGG-style one of the paper, or Real-ESRGAN's U-Net."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from models.generator import MOST_CHANNELS
from models.unet_discriminator import UNetDiscriminator
from utils.section import Section


class DiscriminatorOptions(Section):
    """Kind and sizes of the discriminator; the defaults are SubjectiveQE-ESRGAN's."""

    type: Literal["vgg", "unet"] = "vgg"
    """`vgg`: one logit for a patch. `unet`: one for each pixel, with spectral norm, as in Real-ESRGAN."""
    num_feat: int = Field(default=32, ge=1, le=MOST_CHANNELS)
    """Channels of the first stage; the last has 8 times as many."""
    patch_size: int = Field(default=128, ge=32, multiple_of=32)
    """Side of the square HR patches that it judges, a multiple of 32; the published one judges 128."""


class Discriminator(nn.Sequential):
    """Ten convolutions in five halving stages, then two linear layers: one logit per patch.

    `forward(patches)`: float `N×3×patch_size×patch_size`, RGB in [0, 1] → `N×1` logits. In training mode the
    running statistics of batch norm move with every forward. Layers are named as in the published files.
    """

    def __init__(self, options: DiscriminatorOptions):
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        channels = 3
        for stage, width in enumerate((1, 2, 4, 8, 8)):
            for part, (kernel, stride) in enumerate(((3, 1), (4, 2))):
                name, first = f"{stage}_{part}", not layers
                out = width * options.num_feat
                layers[f"conv{name}"] = nn.Conv2d(channels, out, kernel, stride, padding=1, bias=first)
                if not first:
                    layers[f"bn{name}"] = nn.BatchNorm2d(out)
                layers[f"lrelu{name}"] = nn.LeakyReLU(0.2, inplace=True)
                channels = out
        layers["flatten"] = nn.Flatten()
        layers["linear1"] = nn.Linear(channels * (options.patch_size // 32) ** 2, 128)
        layers["lrelu"] = nn.LeakyReLU(0.2, inplace=True)
        layers["linear2"] = nn.Linear(128, 1)
        super().__init__(layers)
        self.patch_size = options.patch_size

    def forward(self, patches: Tensor) -> Tensor:
        """Logits. Shapes and range: see the class.

        Raises:
            ValueError: patches of another size.
        """
        height, width = patches.shape[-2:]
        if (height, width) != (self.patch_size, self.patch_size):
            raise ValueError(
                f"the discriminator judges {self.patch_size}×{self.patch_size} pixels, not {height}×{width}: "
                "make patch_size the side of the HR patches"
            )
        return super().forward(patches)  # type: ignore[no-untyped-call]  # torch's has no annotations


def build_discriminator(options: DiscriminatorOptions) -> Discriminator | UNetDiscriminator:
    """The discriminator that `options` describe, with random weights."""
    return UNetDiscriminator(options.num_feat) if options.type == "unet" else Discriminator(options)
