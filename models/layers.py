"""Parts that two or more networks share."""

from __future__ import annotations

from typing import Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.global_average import GlobalAverage
from utils.autocast import without_autocast


def conv3(in_channels: int, out_channels: int, *, bias: bool = True) -> nn.Conv2d:
    """3×3 convolution that keeps the size."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


class ToImage(nn.Conv2d):
    """Convolution whose output is an image, not a residual; in float32 whatever the autocast type.

    bfloat16 has eight significant bits: it cannot tell neighbouring grey levels of a bright pixel apart.
    """

    def forward(self, features: Tensor) -> Tensor:
        with without_autocast(features.device.type):
            return super().forward(features.to(self.weight.dtype))


def to_image3(in_channels: int) -> ToImage:
    """3×3 convolution from features to an RGB image of the same size."""
    return ToImage(in_channels, 3, 3, padding=1)


def relu_stack(channels: int, num_feat: int, layers: int) -> nn.Sequential:
    """3×3 convolutions with ReLU between them, from `channels` to `num_feat` and back to `channels`.

    The initial weights are those of He et al. (2015). Torch's own shrink the signal of twenty layers to nothing, from
    which Adam recovers but SGD, the optimiser of VDSR and DnCNN, does not.
    """
    convs = [
        conv3(channels, num_feat),
        *(conv3(num_feat, num_feat) for _ in range(layers - 2)),
        conv3(num_feat, channels),
    ]
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
    hidden = [layer for conv in convs[:-1] for layer in (conv, nn.ReLU(inplace=True))]
    return nn.Sequential(*hidden, convs[-1])


def zero(layer: nn.Module) -> None:
    """Set every parameter to 0: a convolution that adds nothing yet."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class _WithAttention(Protocol):
    @property
    def num_feat(self) -> int: ...
    @property
    def reduction(self) -> int: ...


_Options = TypeVar("_Options", bound=_WithAttention)


def attention_has_channels(options: _Options) -> _Options:
    """Validator of options with `num_feat` and `reduction`: channel attention keeps a channel at least.

    Raises:
        ValueError: `reduction` exceeds `num_feat`.
    """
    if options.reduction > options.num_feat:
        raise ValueError(f"reduction ({options.reduction}) must not exceed num_feat ({options.num_feat})")
    return options


class ChannelAttention(nn.Module):
    """Squeeze and excite: global average pool → 1×1 → ReLU → 1×1 → sigmoid, multiplied with the input.

    Args:
        num_feat: channels in and out.
        reduction: the hidden layer has `num_feat // reduction` channels.
        bias: of the two 1×1 convolutions (RCAN's have one, CISRNet's have none).
    """

    def __init__(self, num_feat: int, reduction: int, *, bias: bool):
        super().__init__()
        self.weigh = nn.Sequential(
            GlobalAverage(),
            nn.Conv2d(num_feat, num_feat // reduction, 1, bias=bias),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_feat // reduction, num_feat, 1, bias=bias),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features * self.weigh(features)


class SpatialAttention(nn.Module):
    """CBAM's spatial half: [max, mean] over channels → 3×3 (no bias) → sigmoid, multiplied with the input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv3(2, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        strongest = features.amax(dim=1, keepdim=True)
        mean = features.mean(dim=1, keepdim=True)
        return features * torch.sigmoid(self.conv(torch.cat([strongest, mean], dim=1)))


class RCAB(nn.Module):
    """RCAN's residual channel attention block: 3×3 → ReLU → 3×3 → channel attention, plus a skip."""

    def __init__(self, num_feat: int, reduction: int):
        super().__init__()
        self.convs = nn.Sequential(conv3(num_feat, num_feat), nn.ReLU(inplace=True), conv3(num_feat, num_feat))
        self.attention = ChannelAttention(num_feat, reduction, bias=True)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.attention(self.convs(features))


class ResidualGroup(nn.Module):
    """Blocks, then a 3×3 convolution, plus a skip from the group's input."""

    def __init__(self, blocks: list[nn.Module], num_feat: int):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.conv = conv3(num_feat, num_feat)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.conv(self.blocks(features))


def upsampler(num_feat: int, scale: int) -> nn.Sequential:
    """Sub-pixel upsampling: one conv + PixelShuffle per doubling, or one for a factor of 3; none at scale 1."""
    factors = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}[scale]
    stages: list[nn.Module] = []
    for factor in factors:
        stages += [conv3(num_feat, num_feat * factor**2), nn.PixelShuffle(factor)]
    return nn.Sequential(*stages)


def div2k_mean() -> Tensor:
    """DIV2K's mean colour on 0–255, `1×3×1×1`: what many super-resolution networks subtract from their input."""
    return 255 * torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """`N×C×h×w` enlarged by reflection at the right and bottom, to a multiple on both sides."""
    height, width = image.shape[2:]
    down, right = -height % multiple, -width % multiple
    if not down and not right:
        return image
    # Reflection needs more pixels than it adds; only images smaller than `multiple` have fewer.
    mode = "reflect" if down < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, down), mode=mode)
