"""Conversion of colour images to grey, by the conventions of published tables."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from utils.errors import UserError

Grey = Literal["bt601_limited", "bt601_full", "file"]

MEANING: dict[Grey, str] = {
    "bt601_limited": "Y of BT.601, 16 to 235, as MATLAB's rgb2ycbcr",
    "bt601_full": "Y of BT.601, 0 to 255, as OpenCV and JPEG",
    "file": "what the files hold",
}
"""Description of each convention in captions."""


_BT601 = np.array([65_481, 128_553, 24_966])


class GreyError(UserError):
    """An image must be grey but is not."""


def to_grey(image: np.ndarray, grey: Grey, name: str) -> np.ndarray:
    """The image's Y in three equal channels, rounded to 8 bits.

    Args:
        image: uint8 h×w×3 RGB.
        grey: `bt601_limited`: 16 + (65.481 R + 128.553 G + 24.966 B) / 255, rounded half up; white is 235.
            `bt601_full`: 0.299 R + 0.587 G + 0.114 B, rounded as by OpenCV; a grey image does not change.
            `file`: the image unchanged; it must be grey.
        name: of the image, for the error.

    Raises:
        GreyError: `file`, and the channels differ.
    """
    if grey == "file":
        if (image != image[..., :1]).any():
            raise GreyError(
                f"{name}: has colours, and `grey: file` takes images as they are: use bt601_limited or bt601_full"
            )
        return image
    if grey == "bt601_full":
        y = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    else:
        # In integers (255,000ths), as exact halves occur; rounded half up.
        y = (16 * 255_000 + image.astype(np.int64) @ _BT601 + 127_500) // 255_000
    return np.repeat(y.astype(np.uint8)[..., None], 3, axis=2)
