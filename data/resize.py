"""MATLAB's bicubic `imresize`, exactly: the resizing behind published super-resolution scores.

Source: MATLAB's documentation of `imresize` and its outputs. The kernel is Keys' cubic with a = -0.5, widened by
1/scale when an image is shrunk (antialiasing); the image is mirrored at its edges; the weights of an output sample add
up to 1. Height is resized first, then width, and a uint8 image is rounded, `floor(x + 0.5)`, and clipped after each.
OpenCV's cubic has no antialiasing, and Pillow's handles edges differently: neither returns the low-resolution images of
published scores.
"""

import math
from typing import Literal

import cv2
import numpy as np
from scipy.sparse import csr_array

from utils.errors import UserError

_BLOCK = 1 << 16  # output samples per block: as float64 they stay in a core's cache


def imresize(image: np.ndarray, scale: float, halves: Literal["up", "to even"] = "up") -> np.ndarray:
    """Resize uint8 HWC (or HW) by `scale` like MATLAB; the result is uint8 of size ceil(size * scale).

    `halves`: rounding of values that end in .5. MATLAB rounds them up; Python ports, such as the one used to train
    CISR-PSI, round them to the even neighbour.

    Raises ValueError if `image` is not uint8 HWC (up to 4 channels) or HW, or is empty, or if `scale` is not
    positive.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0 or sum(image.shape[2:]) > 4:
        raise ValueError(f"imresize takes uint8 HW or HWC of up to 4 channels, not {image.dtype} {image.shape}")
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"imresize takes a positive scale, not {scale}")
    # Width is resized as the height of the transposed image: numpy adds complete rows fastest.
    return _transpose(_resize_height(_transpose(_resize_height(image, scale, halves)), scale, halves))


def modcrop(image: np.ndarray, scale: int) -> np.ndarray:
    """Crop HWC (or HW) at the bottom and the right to a height and width divisible by `scale` (a view).

    Raises UserError if nothing would be left.
    """
    height, width = image.shape[0] // scale * scale, image.shape[1] // scale * scale
    if height == 0 or width == 0:
        raise UserError(f"an image of {image.shape[1]}x{image.shape[0]} pixels is too small for scale {scale}")
    return image[:height, :width]


def resize_matrix(length: int, scale: float) -> csr_array:
    """The weights of `imresize` along one axis: float32 ceil(length · scale) × length, its edges mirrored."""
    taps, weights = _taps(length, scale)
    rows = np.repeat(np.arange(len(taps)), taps.shape[1])
    return csr_array((weights.ravel().astype(np.float32), (rows, taps.ravel())), shape=(len(taps), length))


def resized(image: np.ndarray, rows: csr_array, columns: csr_array) -> np.ndarray:
    """`image` (float32 h×w×C) resized by the matrices of both axes, neither rounded nor clipped."""
    height, width, channels = image.shape
    tall: np.ndarray = (rows @ image.reshape(height, -1)).reshape(-1, width, channels)
    turned = tall.transpose(1, 0, 2).reshape(width, -1)
    wide: np.ndarray = columns @ turned
    return wide.reshape(-1, len(tall), channels).transpose(1, 0, 2)


def _transpose(image: np.ndarray) -> np.ndarray:
    """Swap the first two axes. OpenCV needs a tenth of numpy's time (and drops a single channel)."""
    return cv2.transpose(image).reshape(image.shape[1], image.shape[0], *image.shape[2:])


def _resize_height(image: np.ndarray, scale: float, halves: Literal["up", "to even"]) -> np.ndarray:
    """Resize the first axis. Every sum adds the taps from first to last in float64, without fused operations.

    The order matters: at scales such as 0.4 many exact results end in .5, and another order would round them
    differently.
    """
    samples = np.ascontiguousarray(image).reshape(len(image), -1)
    taps, weights = _taps(len(image), scale)
    result = np.empty((len(taps), samples.shape[1]), np.uint8)
    rows = max(1, _BLOCK // samples.shape[1])
    term = np.empty((rows, samples.shape[1]))
    for start in range(0, len(taps), rows):
        block = slice(start, start + rows)
        total = samples[taps[block, 0]] * weights[block, :1]
        for tap in range(1, taps.shape[1]):
            out = term[: len(total)]
            np.multiply(samples[taps[block, tap]], weights[block, tap : tap + 1], out=out)
            total += out
        if halves == "up":
            total += 0.5  # then dropping the fraction, below, is floor
        else:
            np.rint(total, out=total)
        np.clip(total, 0, 255, out=total)
        result[block] = total
    return result.reshape(len(taps), *image.shape[1:])


def _taps(length: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the input positions of each output position, and their weights, both (n, taps)."""
    shrink = min(scale, 1.0)
    width = 4 / shrink
    # Like MATLAB: positions from 1, in input coordinates.
    centre = np.arange(1, math.ceil(length * scale) + 1) / scale + 0.5 * (1 - 1 / scale)
    position = np.floor(centre - width / 2)[:, None] + np.arange(math.ceil(width) + 2)
    weights = shrink * _cubic(shrink * (centre[:, None] - position))
    weights /= weights.cumsum(axis=1)[:, -1:]  # `sum` would add in another order than MATLAB
    used = weights.any(axis=0)
    mirrored = (position[:, used].astype(np.int64) - 1) % (2 * length)
    return np.minimum(mirrored, 2 * length - 1 - mirrored), weights[:, used]


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    x2 = x * x
    x3 = x2 * x
    inner = 1.5 * x3 - 2.5 * x2 + 1
    outer = -0.5 * x3 + 2.5 * x2 - 4 * x + 2
    kernel: np.ndarray = inner * (x <= 1) + outer * ((x > 1) & (x <= 2))
    return kernel
