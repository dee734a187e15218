"""YCbCr of video at 8 bits: BT.601 in limited or full range, 4:4:4 and 4:2:0."""

from __future__ import annotations

import cv2
import numpy as np


def halved_chroma(planes: np.ndarray) -> np.ndarray:
    """(3, h, w) uint8 with even sides to (h·3/2, w): Y, then Cb and Cr as means of 2×2 samples, rounded half up."""
    chroma = planes[1:].astype(np.uint16)
    sums = chroma[:, ::2, ::2] + chroma[:, 1::2, ::2] + chroma[:, ::2, 1::2] + chroma[:, 1::2, 1::2]
    halved = ((sums + 2) // 4).astype(np.uint8)
    return np.concatenate([planes[0].ravel(), halved.ravel()]).reshape(-1, planes.shape[2])


def enlarged_chroma(planes: np.ndarray) -> np.ndarray:
    """The planes of `halved_chroma` back to (3, h, w): chroma bilinear about the centre of its 2×2 samples."""
    height, width = planes.shape[0] * 2 // 3, planes.shape[1]
    chroma = planes[height:].reshape(2, height // 2, width // 2)
    large = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in chroma]
    return np.stack([planes[:height], *large])


def _matrix(full_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return BT.601's matrix and offset from RGB to YCbCr, both on 0-255."""
    red, blue = 0.299, 0.114
    luma = np.array([red, 1 - red - blue, blue])
    matrix = np.stack([luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)])
    if full_range:
        return matrix, np.array([0.0, 128, 128])
    return matrix * np.array([[219], [224], [224]]) / 255, np.array([16.0, 128, 128])


def to_ycbcr(image: np.ndarray, full_range: bool) -> np.ndarray:
    """(h, w, 3) RGB to (3, h, w) YCbCr, both uint8; limited range is 16 to 235 for Y."""
    matrix, offset = _matrix(full_range)
    planes = np.rint(image @ matrix.T + offset).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(planes.transpose(2, 0, 1))


def to_rgb(planes: np.ndarray, full_range: bool) -> np.ndarray:
    """(3, h, w) YCbCr to (h, w, 3) RGB, both uint8: the inverse of `to_ycbcr`, up to rounding."""
    matrix, offset = _matrix(full_range)
    image = np.rint((planes.transpose(1, 2, 0) - offset) @ np.linalg.inv(matrix).T)
    return np.ascontiguousarray(image.clip(0, 255).astype(np.uint8))
