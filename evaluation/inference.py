"""From uint8 images to restored uint8 images through a generator."""

from __future__ import annotations

import numpy as np
import torch

from models import Generator


def restore(generator: Generator, lr: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """One image through the generator, whole.

    Args:
        lr: uint8 h×w×3 RGB.

    Returns:
        uint8 (h·scale)×(w·scale)×3, rounded half up and clamped.
    """
    with torch.inference_mode():
        batch = to_unit_range(torch.from_numpy(np.ascontiguousarray(lr))[None].to(device))
        return to_uint8(generator(batch)[0])


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """Float 3×h×w in [0, 1], on any device → uint8 h×w×3, rounded half up and clamped."""
    return (image.float() * 255 + 0.5).floor().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def to_unit_range(batch: torch.Tensor) -> torch.Tensor:
    """uint8 N×h×w×3 → float32 N×3×h×w in [0, 1], on the batch's device."""
    return batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 255
