"""Networks of one channel on colour images: Y goes through the network, Cb and Cr go past it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Luma = Literal["full", "limited"]
"""Y of BT.601: `full` is 0 to 255, as in JPEG and OpenCV; `limited` 16 to 235, as MATLAB's rgb2ycbcr."""

_WEIGHTS = (0.299, 0.587, 0.114)


def restore_luma(network: Callable[[Tensor], Tensor], image: Tensor, luma: Luma) -> Tensor:
    """RGB of the same Cb and Cr whose Y is what `network` makes of the image's Y.

    With `full` a grey image's Y is what its channels hold. With unchanged Cb and Cr the three channels change by one
    amount, that of Y (in full range), so nothing is rounded or lost on the way.

    Args:
        network: float N×1×h×w in [0, 1] → the same shape and range.
        image: float N×3×h×w, RGB in [0, 1].
    """
    weights = torch.tensor(_WEIGHTS, dtype=image.dtype, device=image.device).view(1, 3, 1, 1)
    y = (image * weights).sum(dim=1, keepdim=True)
    if luma == "full":
        return image + (network(y) - y)
    y = y * (219 / 255) + 16 / 255
    return image + (network(y) - y) * (255 / 219)
