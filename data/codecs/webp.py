"""Lossy WebP by OpenCV, whose bytes are those of Pillow with method 4."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from data.codecs.base import decode_still
from data.codecs.opencv import OpenCvCodec, check_side, opencv_encode


@dataclass(frozen=True)
class Webp(OpenCvCodec):
    name, lowest, highest = "webp", 1, 100
    title = "lossy WebP quality"

    def encoder(self) -> str:
        return f"method 4 (OpenCV {cv2.__version__})"

    def _encode(self, image: np.ndarray) -> bytes:
        check_side(self, image, 16383)
        return opencv_encode(self, ".webp", image, [cv2.IMWRITE_WEBP_QUALITY, self.one_quality])

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, "WEBP")
