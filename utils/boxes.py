"""Parts of an image: a box of pixels, and where to put one so that there is something to see."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_LOOKED_AT = 512  # longest side at which detail is looked for: memory and time of a large photo stay small


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part, as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def times(self, scale: int) -> Box:
        """The same part of an image `scale` times as large."""
        return Box(self.top * scale, self.left * scale, self.height * scale, self.width * scale)

    def grown(self, margin: int, shape: tuple[int, ...]) -> Box:
        """With `margin` pixels more on each side, as far as an image of `shape` (height, width, …) has them."""
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        bottom = min(shape[0], self.top + self.height + margin)
        right = min(shape[1], self.left + self.width + margin)
        return Box(top, left, bottom - top, right - left)


def detail_box(image: np.ndarray, side: int) -> Box:
    """The part of at most `side`×`side` pixels with the strongest edges: where differences are likely to show."""
    height, width = image.shape[:2]
    shrunk = min(1.0, _LOOKED_AT / max(height, width))
    size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    edges = np.abs(cv2.Sobel(grey, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    small = [max(1, min(round(side * shrunk), extent)) for extent in grey.shape]
    # The mean over a window by its top left corner; only windows that lie inside are asked.
    means = cv2.boxFilter(edges, -1, (small[1], small[0]), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    means = means[: grey.shape[0] - small[0] + 1, : grey.shape[1] - small[1] + 1]
    row, column = np.unravel_index(np.argmax(means), means.shape)
    box_height, box_width = min(side, height), min(side, width)
    top, left = min(round(row / shrunk), height - box_height), min(round(column / shrunk), width - box_width)
    return Box(top, left, box_height, box_width)
