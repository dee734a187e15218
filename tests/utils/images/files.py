"""A photograph, files of it and of deep samples, and what the message of a refused file must be."""

import io
import struct
import zlib

import numpy as np
import pytest
import skimage.data
from PIL import Image

from utils.errors import UserError

PHOTO = skimage.data.astronaut()[100:164, 150:246]  # 64×96
GREY = PHOTO[..., 1]


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png16(samples: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """A 16-bit PNG written by hand, so that no decoder under test made it."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + end


def saved(image: Image.Image, suffix: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def assert_one_line(error: pytest.ExceptionInfo, *parts: str) -> None:
    assert isinstance(error.value, UserError)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
