"""Y of one image with the colour of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from models.resampling import bicubic

Luma = Literal["full", "limited"]
"""Y of BT.601: `full` is 0 to 255, as in JPEG and OpenCV; `limited` 16 to 235, as MATLAB's rgb2ycbcr."""

_WEIGHTS = (0.299, 0.587, 0.114)


def restore_luma(network: Callable[[Tensor], Tensor], image: Tensor, luma: Luma) -> Tensor:
    """A network of one channel on a colour image: Y goes through the network, Cb and Cr go past it.

    With `full` a grey image's Y is what its channels hold. With unchanged Cb and Cr the three channels change by one
    amount, that of Y (in full range), so nothing is rounded or lost on the way.

    Args:
        network: float N×1×h×w in [0, 1] → the same shape and range.
        image: float N×3×h×w, RGB in [0, 1].
    """
    y = luma_of(image)
    if luma == "full":
        return image + (network(y) - y)
    y = y * (219 / 255) + 16 / 255
    return image + (network(y) - y) * (255 / 219)


def with_colour_of(sr: Tensor, lr: Tensor) -> Tensor:
    """The Y of `sr` with the Cb and Cr of `lr`, which are enlarged by bicubic.

    Args:
        sr: float N×3×H×W, RGB in [0, 1].
        lr: float N×3×h×w, the same picture, smaller or of the same size.

    Returns:
        N×3×H×W, not clamped: clamping would change Y where a colour does not fit.
    """
    enlarged = bicubic(lr, (sr.shape[2], sr.shape[3]))
    return enlarged + (luma_of(sr) - luma_of(enlarged))


def luma_of(image: Tensor) -> Tensor:
    """Y of BT.601 in full range: float N×3×h×w in [0, 1] → N×1×h×w in [0, 1]."""
    weights = torch.tensor(_WEIGHTS, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(dim=1, keepdim=True)
