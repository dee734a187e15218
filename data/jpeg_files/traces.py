"""Traces of a JPEG encoding in the pixels, where the file does not tell of it.

The DCT coefficients of a decoded JPEG are multiples of its quantisation steps, also after it was saved again without
loss or as a milder JPEG, also if it was cropped (Fan and de Queiroz, IEEE Transactions on Image Processing 12(2),
2003).
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
_WINDOWS = 400  # places at which the block grids are compared
_WINDOW = 15  # their side: a block of every grid fits in
_NEARLY_ZERO = 2.5  # coefficients below: zeros that a second encoding at quality 90 or more has changed are among them
_GRIDS = 2  # as many are examined: the image may have been cropped between two encodings


def traced_quality(image: np.ndarray) -> int | None:
    """Quality of the coarsest JPEG encoding that the image bears traces of; None without traces.

    Found are encodings by libjpeg's tables, up to a quality of about 95. The image may have been cropped since, but not
    resized.

    Args:
        image: uint8 h×w×3, RGB.
    """
    found = (_quality_on_grid(image[top:, left:]) for top, left in _likely_grids(image))
    return min((quality for quality in found if quality is not None), default=None)


def _likely_grids(image: np.ndarray) -> list[tuple[int, int]]:
    """First row and column of the block grids on which most coefficients are nearly zero, as on those of encodings."""
    height, width = image.shape[:2]
    if min(height, width) < _WINDOW:
        return []
    apart = max(1.0, (height * width / 64 / _WINDOWS) ** 0.5) * 8
    windows = np.stack(
        [
            image[top : top + _WINDOW, left : left + _WINDOW].astype(np.float32) @ _LUMA
            for top in np.arange(0, height - _WINDOW + 1, apart).astype(int) // 8 * 8
            for left in np.arange(0, width - _WINDOW + 1, apart).astype(int) // 8 * 8
        ]
    )
    zeros = {
        (top, left): float((np.abs(_dct(windows[:, top : top + 8, left : left + 8])) < _NEARLY_ZERO).mean())
        for top in range(8)
        for left in range(8)
    }
    return sorted(zeros, key=zeros.__getitem__, reverse=True)[:_GRIDS]


def _quality_on_grid(image: np.ndarray) -> int | None:
    """`traced_quality` of an encoding whose blocks begin at the image's first pixel."""
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
    coefficients = _dct(pixels[inside].astype(np.float32) @ _LUMA)
    rounded = np.rint(coefficients.reshape(-1, 64)).astype(np.int16)
    return coefficients[np.unique(rounded, axis=0, return_index=True)[1]]


@lru_cache(maxsize=len(_FREQUENCIES))
def _qualities_by_step(down: int, across: int) -> list[tuple[int, np.ndarray]]:
    """The steps of a frequency at qualities 1 to 100, each with the qualities that have it, counted from 0."""
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)  # libjpeg's jpeg_quality_scaling
    steps = np.clip((_STEPS_50[down, across] * scales + 50) // 100, 1, 255)
    return [(int(step), np.flatnonzero(steps == step)) for step in np.unique(steps)]


def _dct(blocks: np.ndarray) -> np.ndarray:
    """DCT of n×8×8 blocks, as JPEG's."""
    return dctn(blocks, axes=(1, 2), norm="ortho")
