"""How the colours of an AVIF or HEIC file are meant where no ICC profile says it: `nclx` (ISO/IEC 14496-12, 12.1.5)."""

from __future__ import annotations

import struct
from typing import BinaryIO

_MOST = 4 << 20  # bytes of the box that describes the image; pixels lie elsewhere


def nclx_of(file: BinaryIO) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics (ITU-T H.273, tables 2 and 3); None where the file has no nclx."""
    size = file.seek(0, 2)
    place = 0
    while place + 8 <= size:
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(file.read(8), "big"), 16
        elif length == 0:
            length = size - place
        if length < head:
            return None
        if name == b"meta":
            described = _inside(file.read(min(length - head, _MOST))[4:], b"iprp", b"ipco")
            return None if described is None else _first_nclx(described)
        place += length
    return None


def _boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 0
    while place + 8 <= len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        if length < 8:
            break
        found.append((name, data[place + 8 : place + length]))
        place += length
    return found


def _inside(data: bytes, *names: bytes) -> bytes | None:
    for wanted in names:
        inner = [content for name, content in _boxes(data) if name == wanted]
        if not inner:
            return None
        data = inner[0]
    return data


def _first_nclx(properties: bytes) -> tuple[int, int] | None:
    for name, content in _boxes(properties):
        if name == b"colr" and content[:4] == b"nclx" and len(content) >= 8:
            return struct.unpack(">HH", content[4:8])
    return None
