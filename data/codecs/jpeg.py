"""JPEG by OpenCV, whose bytes are those of Pillow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from data.codecs.base import Codec
from data.codecs.opencv import OpenCvCodec, opencv_encode

_SAMPLING_FACTORS = {
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


@dataclass(frozen=True)
class Jpeg(OpenCvCodec):
    """JPEG; `subsampling` of the chroma as in the standard, without colons; 400 has one component, Y."""

    subsampling: str = "420"

    name, lowest, highest = "jpeg", 1, 100
    subsamplings = ("400", *_SAMPLING_FACTORS)
    title = "JPEG quality"
    pillow_format, longest_side = "JPEG", 65500

    def __str__(self) -> str:
        return super().__str__() + (f":{self.subsampling}" if self.subsampling != "420" else "")

    def of_grey(self) -> Codec:
        return replace(self, subsampling="400")

    def encoder(self) -> str:
        return f"{':'.join(self.subsampling)}, baseline (OpenCV {cv2.__version__})"

    def _encode(self, image: np.ndarray) -> bytes:
        if self.subsampling == "400":
            # OpenCV computes Y with the weights of JPEG; a grey image does not change.
            return opencv_encode(self, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.one_quality], cv2.COLOR_RGB2GRAY)
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLING_FACTORS[self.subsampling]]
        return opencv_encode(self, ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.one_quality, *sampling])
