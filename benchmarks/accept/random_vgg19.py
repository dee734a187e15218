"""Weights for the perceptual loss where the pretrained ones are not needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def random_vgg19(folder: Path, gain: float) -> Path:
    """A file of VGG19's features with random weights from numpy's frozen generator, the same everywhere."""
    path = folder / f"vgg19_{gain}.pth"
    if path.exists():
        return path
    random, index, channels = np.random.RandomState(19), 0, 3
    state: dict[str, Tensor] = {}
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0):
        if width == 0:
            index += 1
            continue
        scale = np.float32(gain * (2 / (9 * channels)) ** 0.5)
        weight = random.standard_normal((width, channels, 3, 3)).astype(np.float32) * scale
        bias = random.standard_normal(width).astype(np.float32) * np.float32(0.05)
        state |= {
            f"features.{index}.weight": torch.from_numpy(weight),
            f"features.{index}.bias": torch.from_numpy(bias),
        }
        index, channels = index + 2, width
    torch.save(state, path)
    return path
