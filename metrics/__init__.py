"""Metrics between two images: from Python, `score`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metrics.measures import MeasureName, Measurer
from utils.errors import UserError


def score(
    restored: np.ndarray,
    original: np.ndarray,
    metrics: Sequence[MeasureName] = ("psnr_y", "ssim_y"),
    *,
    border: int = 0,
    convention: str = "matlab",
    lpips_weights: Path | None = None,
) -> dict[str, float]:
    """The figures of two uint8 images h×w×3 (RGB) by name.

    Args:
        border: pixels shaved before Y-PSNR and SSIM: the scale, 0 at scale 1.
        convention: of Y-PSNR and SSIM (docs/evaluation.md).
        lpips_weights: AlexNet's file; None: looked for in `checkpoints/` and in torch's cache, else downloaded.

    Raises:
        UserError: images of different sizes or too small, or a metric whose weights cannot be had.
    """
    measurer = Measurer(metrics, border=border, convention=convention, lpips_weights=lpips_weights, say=False)
    if measurer.missing:
        raise UserError(f"{measurer.missing[0]}: its network's weights are not here (docs/training.md)")
    figures = measurer(restored, original)
    return {name: figures[kind] for name, kind in measurer.kinds.items()}


__all__ = ["score"]
