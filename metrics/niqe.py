"""NIQE: how far an image's local statistics lie from those of natural images; no original is needed.

Source: Mittal, Soundararajan and Bovik, Making a "Completely Blind" Image Quality Analyzer, IEEE SPL 20(3), 2013.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate1d
from scipy.special import gamma

from data.grey import to_grey
from losses import LossWeightsError
from metrics.psnr_ssim import MetricError
from models.mat_files import MatFileError, read_variables

BLOCK = 96
"""Side of the blocks that statistics are taken of, in pixels of the whole image."""
SMALLEST = 2 * BLOCK
"""Pixels that each side must have: fewer blocks have no covariance that could be compared."""
FEATURES = 36
"""Of a block: 18 at each of two scales."""

_WINDOW = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
_WINDOW /= _WINDOW.sum()
_SHAPES = np.arange(0.2, 10.0005, 0.001)
_RATIOS = gamma(2 / _SHAPES) ** 2 / (gamma(1 / _SHAPES) * gamma(3 / _SHAPES))
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Niqe:
    """NIQE of one image; lower is better.

    Args:
        parameters: the authors' `modelparameters.mat`, with the mean `mu_prisparam` (1×36) and the covariance
            `cov_prisparam` (36×36) of natural images.

    Raises:
        LossWeightsError: the file is not given, not there, or something else.
    """

    def __init__(self, parameters: Path | None) -> None:
        if parameters is None:
            raise LossWeightsError("NIQE needs its model of natural images: name the authors' file as niqe_parameters")
        if not parameters.is_file():
            raise LossWeightsError(f"{parameters}: no such file with NIQE's parameters")
        try:
            found = read_variables(parameters, "(mu|cov)_prisparam")
        except (MatFileError, OSError) as error:
            raise LossWeightsError(f"{parameters}: {error}") from None
        mean, covariance = (found.get(name, np.empty(0)) for name in ("mu_prisparam", "cov_prisparam"))
        if mean.size != FEATURES or covariance.shape != (FEATURES, FEATURES):
            raise LossWeightsError(
                f"{parameters}: not NIQE's parameters: mu_prisparam of 36 and cov_prisparam of 36×36"
            )
        self._mean, self._covariance = mean.ravel().astype(np.float64), covariance.astype(np.float64)

    def __call__(self, image: np.ndarray) -> float:
        """Of a uint8 h×w×3 image; what whole blocks of 96×96 pixels do not cover is left out.

        Raises:
            MetricError: less than 192×192 pixels.
        """
        if min(image.shape[:2]) < SMALLEST:
            raise MetricError(f"{image.shape[1]}x{image.shape[0]} pixels, and NIQE needs {SMALLEST}x{SMALLEST}")
        features = block_features(to_grey(image, "bt601_full", "image")[..., 0])
        difference = self._mean - features.mean(axis=0)
        pooled = (self._covariance + np.cov(features, rowvar=False)) / 2
        return float(np.sqrt(difference @ np.linalg.pinv(pooled) @ difference))


def block_features(y: np.ndarray) -> np.ndarray:
    """The 36 features of each block of a uint8 h×w image: blocks × 36, float64."""
    height, width = (side - side % BLOCK for side in y.shape)
    y = y[:height, :width]
    scales = []
    for factor in (1, 2):
        image = y.astype(np.float64) if factor == 1 else _halved(y)
        side = BLOCK // factor
        normalised = _normalised(image)
        blocks = normalised.reshape(height // BLOCK, side, width // BLOCK, side).swapaxes(1, 2).reshape(-1, side, side)
        scales.append([_features(block) for block in blocks])
    return np.concatenate(scales, axis=1)


def _halved(y: np.ndarray) -> np.ndarray:
    """Half the size by MATLAB's bicubic, of even sides, neither rounded nor clipped: float64."""
    margin = 16  # beyond its edges MATLAB mirrors the image
    image = torch.from_numpy(np.pad(y.astype(np.float64), margin, mode="symmetric"))[None, None]
    size = [side // 2 for side in image.shape[2:]]
    # antialias selects MATLAB's kernel, a = −0.5 and twice as wide.
    half = F.interpolate(image, size=size, mode="bicubic", antialias=True)[0, 0].numpy()
    return half[margin // 2 : -margin // 2, margin // 2 : -margin // 2]


def _normalised(image: np.ndarray) -> np.ndarray:
    """Less its local mean, over its local deviation and 1: a Gaussian window of 7×7 pixels, σ 7/6."""
    mean, squares = _blurred(image), _blurred(image * image)
    deviation: np.ndarray = np.sqrt(np.abs(squares - mean * mean))
    normalised: np.ndarray = (image - mean) / (deviation + 1)
    return normalised


def _blurred(image: np.ndarray) -> np.ndarray:
    return correlate1d(correlate1d(image, _WINDOW, axis=0, mode="nearest"), _WINDOW, axis=1, mode="nearest")


def _features(block: np.ndarray) -> list[float]:
    """Of the values, and of the products of neighbours in four directions (around the block's edges)."""
    shape, left, right = _asymmetric_gaussian(block)
    found = [shape, (left + right) / 2]
    for shift in _NEIGHBOURS:
        shape, left, right = _asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def _asymmetric_gaussian(values: np.ndarray) -> tuple[float, float, float]:
    """Shape and scales of the asymmetric generalised Gaussian whose moments the values have."""
    negative, positive = values[values < 0], values[values > 0]
    left = np.sqrt(np.square(negative).mean()) if negative.size else 0.0
    right = np.sqrt(np.square(positive).mean()) if positive.size else 0.0
    squares = np.square(values).mean()
    if not squares:  # a block of one value has no statistics: the widest shape, of no width
        return float(_SHAPES[-1]), 0.0, 0.0
    skew = left / right if right else np.inf
    balance = (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2 if np.isfinite(skew) else 1.0
    shape = _SHAPES[np.argmin(np.square(_RATIOS - np.abs(values).mean() ** 2 / squares * balance))]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return float(shape), float(left * scale), float(right * scale)
