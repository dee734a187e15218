"""Whether a JPEG file holds all of its image (ITU-T T.81, annex B).

libjpeg fills what a scan lacks with grey and warns of it, which Pillow and OpenCV swallow: a file that was cut, and got
an end marker behind the cut, reads as a whole one with a flat bottom, or a coarse one where it is progressive.
"""

from __future__ import annotations

import io
import random
import re
from typing import BinaryIO

import numpy as np
from PIL import Image

_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")  # but for TEM and RST, which have no length; FF 00 is data
_HUFFMAN = {0xC0: False, 0xC1: False, 0xC2: True}  # start of a frame → progressive
_OTHER_FRAMES = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
_NOISE = random.Random(0).randbytes(1 << 12).replace(b"\xff", b"\x5a")
# The cut may lie where a restart marker is due: without one, what follows would be skipped.
_PROBE = _NOISE + b"".join(bytes([0xFF, 0xD0 + count % 8]) + _NOISE[:256] for count in range(16))


def is_cut(file: BinaryIO, image: Image.Image) -> bool:
    """Whether a scan of a JPEG file ends before the image does. (Arithmetic coding is not looked at: it may leave
    bytes out at the end.)

    A whole scan is decoded to its end and no further. So bytes put behind it change nothing, while those put behind
    a cut become pixels: the image is decoded twice at less than its size, once with such bytes. That is spared where
    the last block of an image of one sequential scan is not flat, as what libjpeg fills in would be.

    Args:
        file: the JPEG file; what lies behind its first image is not looked at.
        image: the same, loaded.
    """
    file.seek(0)
    data = file.read()
    found = _scan_ends(data)
    if found is None:
        return False
    ends, progressive, one_scan = found
    width, height = image.size
    corner = np.asarray(image.crop((width - (width % 8 or 8), height - (height % 8 or 8), width, height)))
    if one_scan and not progressive and (corner != corner[-1:, -1:]).any():
        return False
    part = 2 if progressive else 8  # at an eighth, only the first coefficient counts
    pieces, start = [], 0
    for end in ends:
        pieces += [data[start:end], _PROBE]
        start = end
    return _decoded(data, part) != _decoded(b"".join([*pieces, data[start:]]), part)


def _decoded(data: bytes, part: int) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft(None, (max(image.width // part, 1), max(image.height // part, 1)))
        return image.tobytes()


def _scan_ends(data: bytes) -> tuple[list[int], bool, bool] | None:
    """Where the scans end, up to the first end of an image; whether it is progressive; whether one scan has it all.

    None where the markers make no sense or the coding is another.
    """
    progressive, components = None, 0
    ends: list[int] = []
    parts: list[int] = []  # components of each scan
    place = 2
    while (marker := _MARKER.search(data, place)) is not None:
        code = marker[1][0]
        if len(ends) < len(parts):
            ends.append(marker.start())
        if code == 0xD9:
            break
        length = int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        segment = data[marker.end() + 2 : marker.end() + length]
        if code in _HUFFMAN and len(segment) > 5:
            progressive, components = _HUFFMAN[code], segment[5]
        elif code in _OTHER_FRAMES:
            return None
        elif code == 0xDA and segment:
            parts.append(segment[0])
        place = marker.end() + max(length, 2)
    if progressive is None or not ends or len(ends) < len(parts):
        return None
    return ends, progressive, parts == [components]
