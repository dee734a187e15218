"""Samples of more than 8 bits, which Pillow keeps of grey images alone: uint16, black 0, white 65535."""

from __future__ import annotations

import re
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from utils.errors import UserError

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags
_UNSIGNED, _SIGNED = 1, 2  # sample formats


class SampleError(UserError):
    """Samples that have no defined treatment; the text stands behind the file's name."""


def sample_depth(image: Image.Image, file: BinaryIO) -> int:
    """Return 8 (also for less) or 16 (also for 9 to 15). The mode does not tell: Pillow drops 8 of 16 bits of colour.

    Raises:
        SampleError: more than 16 bits, signed or floating-point samples.
    """
    if image.format == "TIFF":
        depth = max(_tags(image).get(_BITS, (1,)))
    elif image.format == "PNG":
        position = file.tell()
        file.seek(24)  # after the signature, the chunk's length and name, width and height
        depth = file.read(1)[0]
        file.seek(position)
    elif image.format == "PPM":
        depth = (_pnm_header(file)[1]).bit_length()
    else:
        depth = 8
    if depth > 16 or image.mode == "F":
        raise SampleError(f"{depth if depth > 16 else 32} bits a sample: convert it to 8 or 16 bits")
    if image.format == "TIFF" and _SIGNED in np.ravel(_tags(image).get(_SAMPLE_FORMAT, _UNSIGNED)):
        raise SampleError("signed samples: convert it to unsigned samples of 8 or 16 bits")
    return 16 if depth > 8 else 8


def _tags(image: Image.Image) -> ImageFileDirectory_v2:
    assert isinstance(image, TiffImageFile)
    return image.tag_v2


def sixteen_bits(image: Image.Image, file: BinaryIO) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples of a loaded image of depth 16: uint16, h×w grey or h×w×3 RGB, and h×w alpha or None.

    Raises:
        SampleError: a layout that has no defined treatment.
    """
    if image.format == "PPM":
        return _pnm(image, file), None
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey(image)
    file.seek(0)
    return _colour(image, file.read())


def _grey(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    grey = np.array(image).astype(np.uint16)
    if image.format == "TIFF":
        top = (1 << max(_tags(image).get(_BITS, (16,)))) - 1
        grey = _scaled(grey, top)
        if _tags(image).get(_PHOTOMETRIC) == 0:  # white is zero
            grey = 65535 - grey
    if "transparency" not in image.info:
        return grey, None
    # One grey value means "not there".
    return grey, np.where(grey == image.info["transparency"], np.uint16(0), np.uint16(65535))


def _colour(image: Image.Image, data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode by OpenCV, which keeps 16 bits; Pillow, which keeps the upper 8, has found the file whole."""
    wide: np.ndarray | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    has_alpha = image.has_transparency_data
    upper = np.array(image.convert("RGBA" if "A" in image.getbands() else "RGB"))[..., :3]
    rgb = None if wide is None or wide.ndim != 3 or wide.dtype != np.uint16 else wide[..., 2::-1]
    # Two decoders that disagree (planar samples, premultiplied alpha, CMYK): no defined treatment.
    if wide is None or rgb is None or rgb.shape != upper.shape or not np.array_equal(rgb >> 8, upper):
        raise SampleError("a layout of 16-bit samples that is not supported: convert it to an RGB PNG")
    # A fourth sample of unspecified meaning, a mask or a saved selection say, is no alpha: Pillow knows which it is.
    return rgb, wide[..., 3] if wide.shape[2] == 4 and has_alpha else None


def _scaled(samples: np.ndarray, top: int) -> np.ndarray:
    """From 0…top to 0…65535, rounded; what lies above is cut."""
    if top == 65535:
        return samples.astype(np.uint16, copy=False)
    scaled: np.ndarray = ((np.minimum(samples, top).astype(np.uint32) * 65535 + top // 2) // top).astype(np.uint16)
    return scaled


def _pnm_header(file: BinaryIO) -> tuple[bytes, int, int]:
    """Magic, largest value (1 of a bitmap) and length of the header of a PBM, PGM or PPM file (netpbm's manual)."""
    position = file.tell()
    file.seek(0)
    head = file.read(1 << 12)
    file.seek(position)
    space = rb"(?:\s|#[^\r\n]*[\r\n])"
    bitmap = head[:2] in (b"P1", b"P4")
    numbers = 2 if bitmap else 3
    found = re.match(rb"P[1-6]" + (space + rb"+?(\d{1,10})") * numbers + rb"\s", head)
    if found is None:
        return head[:2], 255, 0  # floats, and other kinds of 8 bits that Pillow reads
    return head[:2], 1 if bitmap else int(found[3]), found.end()


def _pnm(image: Image.Image, file: BinaryIO) -> np.ndarray:
    magic, top, start = _pnm_header(file)
    channels = 3 if magic in (b"P3", b"P6") else 1
    count = image.height * image.width * channels
    file.seek(start)
    if magic in (b"P5", b"P6"):
        samples = np.frombuffer(file.read(2 * count), ">u2")
    else:
        words = re.sub(rb"#[^\r\n]*", b"", file.read()).split(maxsplit=count)[:count]
        samples = np.array(words, np.uint32)
    shape = (image.height, image.width, 3) if channels == 3 else (image.height, image.width)
    return _scaled(samples.reshape(shape), top)
