"""Quantisation steps of a JPEG, read from its header."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from data.codecs import Codec
from data.codecs.chain import Chain
from data.codecs.jpeg import Jpeg
from utils.images import without_pillows_limit

Steps = tuple[float, float]
"""Mean quantisation steps of luma and of chroma, 1 to 255 each (16-bit tables go beyond)."""
UNKNOWN: Steps = (0.0, 0.0)


def steps_in_file(data: bytes) -> Steps:
    """Return the mean steps in the header of a JPEG file, `UNKNOWN` for other data.

    A grey file has the table of luma alone. Its chroma step is the one that colour files with this luma step usually
    have: a network that was trained on colour files expects both.
    """
    try:
        with without_pillows_limit(), Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            assert isinstance(image, JpegImageFile)
            tables = image.quantization
            means = [float(np.mean(tables[component[3]])) for component in image.layer]
    except (OSError, SyntaxError, ValueError, KeyError, IndexError):
        return UNKNOWN
    if not means:
        return UNKNOWN
    return means[0], means[1] if len(means) > 1 else _usual_chroma_step(means[0])


def _usual_chroma_step(luma: float) -> float:
    """The mean chroma step of the files that OpenCV writes with this mean luma step."""
    lumas, chromas = _usual_steps()
    return float(np.interp(luma, lumas, chromas))


@lru_cache(maxsize=1)
def _usual_steps() -> tuple[list[float], list[float]]:
    """Mean luma steps of the qualities 100 to 1, ascending, and the mean chroma steps."""
    pairs = sorted({steps_of(Jpeg(quality)) for quality in range(1, 101)})
    return [luma for luma, _ in pairs], [chroma for _, chroma in pairs]


@lru_cache(maxsize=1024)
def steps_of(codec: Codec) -> Steps:
    """Return the mean steps of the last encoder of `codec` (without ranges); `UNKNOWN` if it is not JPEG."""
    if isinstance(codec, Chain):
        return steps_of(codec.last)
    if not isinstance(codec, Jpeg):
        return UNKNOWN
    return steps_in_file(codec.encode(np.zeros((16, 16, 3), np.uint8)))  # the tables do not depend on the image
