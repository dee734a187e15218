"""Torch's bicubic resize inside networks, with a repeatable backward pass where that is asked for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bicubic(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize as `F.interpolate` does: a = −0.75, no antialiasing, pixel centres at halves.

    On CUDA, torch's backward pass adds up gradients in the order in which threads arrive, and refuses to run under
    `torch.use_deterministic_algorithms` (`runtime.deterministic`). There the resize is two matrix products.

    Args:
        image: float `N×C×h×w`.
        size: height and width of the result.
    """
    if image.is_cuda and image.requires_grad and torch.are_deterministic_algorithms_enabled():
        return by_matrices(image, size)
    return F.interpolate(image, size=size, mode="bicubic")


def by_matrices(image: Tensor, size: tuple[int, int]) -> Tensor:
    """`bicubic` as two matrix products. In float64, which neither TF32 nor autocast shortens."""
    rows, columns = (_weights(before, after, image.device) for before, after in zip(image.shape[2:], size))
    return (rows @ image.double() @ columns.mT).to(image.dtype)


def _weights(before: int, after: int, device: torch.device) -> Tensor:
    """`after×before`: how much each pixel of a line counts in each of the resized line; torch resizes the identity."""
    lines = torch.eye(before, dtype=torch.float64, device=device)[None, None]
    return F.interpolate(lines, size=(after, before), mode="bicubic")[0, 0]
