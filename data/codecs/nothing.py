"""No compression, as a codec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.codecs.base import Codec, decode_still
from data.codecs.opencv import opencv_encode


@dataclass(frozen=True)
class Nothing(Codec):
    """No compression: `compress` copies. Its bytes are a PNG file's."""

    def __str__(self) -> str:
        return "none"

    def describe(self) -> str:
        return "no compression"

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        return self._checked(image).copy(), b""

    def _encode(self, image: np.ndarray) -> bytes:
        return opencv_encode(self, ".png", image, [])

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, "PNG")
