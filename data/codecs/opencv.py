"""Encoding with OpenCV, for several codecs."""

from __future__ import annotations

import cv2
import numpy as np

from data.codecs.base import Codec, CodecError, StillCodec


class OpenCvCodec(StillCodec):
    """A codec that encodes with OpenCV and decodes with Pillow, which returns the same pixels and refuses damage.

    `roundtrip` decodes with OpenCV, which is faster: bytes that were just encoded are not damaged.
    """

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        data = self.encode(image)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded is not None
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), data


def opencv_encode(
    codec: Codec, suffix: str, image: np.ndarray, parameters: list[int], colours: int = cv2.COLOR_RGB2BGR
) -> bytes:
    """Return the bytes of an image file; `colours` converts from RGB. Raises CodecError."""
    if not cv2.haveImageWriter(suffix):
        raise CodecError(f"{codec}: this OpenCV cannot write {suffix}: pip install opencv-python-headless")
    try:
        return cv2.imencode(suffix, cv2.cvtColor(image, colours), parameters)[1].tobytes()
    except cv2.error as error:
        raise CodecError(f"{codec}: OpenCV cannot encode this image ({' '.join(str(error).split())})") from None
