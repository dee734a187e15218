"""Lossy WebP by OpenCV, whose bytes are those of Pillow with method 4."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.codecs.opencv import OpenCvCodec, opencv_encode


@dataclass(frozen=True)
class Webp(OpenCvCodec):
    name, lowest, highest = "webp", 1, 100
    title = "lossy WebP quality"
    pillow_format, longest_side = "WEBP", 16383

    def encoder(self) -> str:
        return f"method 4 (OpenCV {cv2.__version__})"

    def _encode(self, image: np.ndarray) -> bytes:
        return opencv_encode(self, ".webp", image, [cv2.IMWRITE_WEBP_QUALITY, self.one_quality])
