"""Traces of a JPEG encoding in the pixels, where the file does not tell of it.

The DCT coefficients of a decoded JPEG are multiples of its quantisation steps, also after it was saved again without
loss or as a milder JPEG (Fan and de Queiroz, IEEE Transactions on Image Processing 12(2), 2003).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dctn

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # JFIF's full-range BT.601

# Luma steps of quality 50: ITU-T T.81, Table K.1.
_STEPS_50 = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_FREQUENCIES = [(down, across) for down in range(6) for across in range(6) if 1 <= down + across <= 5]
"""Low ones, without the mean: at low qualities the others are zero."""

_BLOCKS = 8192  # of a large image, evenly spaced rows of blocks are examined: about so many blocks
_PERIODIC = 0.25  # mean cosine that is needed: 0.04 at most without an encoding, 0.33 or more at quality 95
_SIGNIFICANT = 8  # times 1/√n that the mean cosine of n coefficients must reach: eleven standard deviations
_EQUAL = 0.8  # of the best mean cosine: qualities that fit as well


def traced_quality(image: np.ndarray) -> int | None:
    """Quality of the coarsest JPEG encoding that the image bears traces of; None without traces.

    Found are encodings by libjpeg's tables, up to a quality of about 95, whose blocks begin at the image's first pixel:
    the image was neither cropped nor resized since.

    Args:
        image: uint8 h×w×3, RGB.
    """
    coefficients = _luma_coefficients(image)
    scores = np.zeros(100)
    counts = np.zeros(100)
    for down, across in _FREQUENCIES:
        values = coefficients[:, down, across]
        for step, qualities in _qualities_by_step(down, across):
            nonzero = values[np.abs(values) > step / 2]
            scores[qualities] += np.cos(2 * np.pi / step * nonzero).sum()
            counts[qualities] += len(nonzero)
    scores /= np.maximum(counts, 1)
    scores[scores * np.sqrt(counts) < _SIGNIFICANT] = 0
    if scores.max() < _PERIODIC:
        return None
    return int(np.argmax(scores >= _EQUAL * scores.max())) + 1


def _luma_coefficients(image: np.ndarray) -> np.ndarray:
    """Float32 n×8×8, DCT coefficients of the luma of distinct blocks.

    Blocks that reach black or white are left out, because clipping changed their coefficients. Blocks that equal
    another one say nothing new; in drawn pages, few glyphs would decide.
    """
    down, across = image.shape[0] // 8, image.shape[1] // 8
    rows = np.unique(np.linspace(0, max(down - 1, 0), max(1, min(down, _BLOCKS // max(across, 1)))).astype(int))
    pixels = image[: down * 8, : across * 8].reshape(down, 8, across, 8, 3)[rows[rows < down]]
    pixels = pixels.swapaxes(1, 2).reshape(-1, 8, 8, 3)
    inside = (pixels.min(axis=(1, 2, 3)) > 0) & (pixels.max(axis=(1, 2, 3)) < 255)
    coefficients = dctn(pixels[inside].astype(np.float32) @ _LUMA, axes=(1, 2), norm="ortho")
    rounded = np.rint(coefficients.reshape(-1, 64)).astype(np.int16)
    return coefficients[np.unique(rounded, axis=0, return_index=True)[1]]


@lru_cache(maxsize=len(_FREQUENCIES))
def _qualities_by_step(down: int, across: int) -> list[tuple[int, np.ndarray]]:
    """The steps of a frequency at qualities 1 to 100, each with the qualities that have it, counted from 0."""
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)  # libjpeg's jpeg_quality_scaling
    steps = np.clip((_STEPS_50[down, across] * scales + 50) // 100, 1, 255)
    return [(int(step), np.flatnonzero(steps == step)) for step in np.unique(steps)]
