"""The U-Net discriminator of Real-ESRGAN: a logit for every pixel (Wang et al., ICCVW 2021, arXiv 2107.10833)."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.layers import conv3


class UNetDiscriminator(nn.Module):
    """Three halvings and three doublings with skips; every convolution between the first and the last is normalised.

    Judging each pixel tells the generator where an image looks restored. Spectral norm bounds how steeply the judgement
    can change, so that the discriminator does not run away (Miyato et al., ICLR 2018; section 3.3 of the paper).

    `forward(patches)`: float `N×3×h×w` with sides that are multiples of 8, RGB in [0, 1] → logits `N×1×h×w`.

    Raises:
        ValueError: by `forward`, for other sides.
    """

    def __init__(self, num_feat: int):
        super().__init__()
        widths = [num_feat * factor for factor in (1, 2, 4, 8)]
        self.first = conv3(3, num_feat)
        self.downs = nn.ModuleList(
            spectral_norm(nn.Conv2d(fine, coarse, 4, 2, 1, bias=False)) for fine, coarse in pairwise(widths)
        )
        self.ups = nn.ModuleList(
            spectral_norm(conv3(coarse, fine, bias=False)) for coarse, fine in zip(widths[:0:-1], widths[-2::-1])
        )
        self.last = nn.Sequential(
            spectral_norm(conv3(num_feat, num_feat, bias=False)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(conv3(num_feat, num_feat, bias=False)),
            nn.LeakyReLU(0.2, inplace=True),
            conv3(num_feat, 1),
        )

    def forward(self, patches: Tensor) -> Tensor:
        if patches.shape[2] % 8 or patches.shape[3] % 8:
            height, width = patches.shape[2:]
            raise ValueError(f"the U-Net discriminator judges sides that are multiples of 8, not {height}×{width}")
        features = _activate(self.first(patches))
        skips = []
        for down in self.downs:
            skips.append(features)
            features = _activate(down(features))
        for up, skip in zip(self.ups, reversed(skips)):
            features = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = _activate(up(features)) + skip
        return self.last(features)


def _activate(features: Tensor) -> Tensor:
    return F.leaky_relu(features, 0.2)
