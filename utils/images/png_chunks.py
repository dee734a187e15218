"""What the chunks of a PNG file say (PNG Specification, third edition, sections 5 and 11).

Pillow is given a file without text, profile and EXIF: it inflates those while it opens a file, up to limits of its own
that whole files exceed, and calls such a file damaged.
"""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST = 16 << 20
"""Bytes that a compressed profile or text may have when inflated; a longer one is not kept."""

COLOUR_CHUNKS = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
"""How the samples are meant, said without a profile. (`sRGB` is what a reader without any of these assumes.)"""

_XMP = b"XML:com.adobe.xmp"
_OURS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf")
_NOTED = {*_OURS, *COLOUR_CHUNKS, b"IDAT"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
_RATIO = 1032  # deflate's best: 258 bytes for 2 bits
_INTERLACED = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass
class PngChunks:
    """A PNG file's header, and where its chunks lie.

    Attributes:
        width, height, depth, colour_type, interlaced: of the header, unchecked.
        places: (name, first byte of the chunk's data, its length) of those that this module looks at, in the file's
            order; what a length says is cut to what the file has.
    """

    width: int
    height: int
    depth: int
    colour_type: int
    interlaced: bool
    places: list[tuple[bytes, int, int]] = field(default_factory=list)

    def data_bytes(self) -> int:
        """Bytes of compressed image data in the file."""
        return sum(length for name, _, length in self.places if name == b"IDAT")

    def raw_bytes(self) -> int:
        """Bytes of the image inflated: rows with a filter byte each, of every pass where interlaced."""
        bits = self.depth * _CHANNELS.get(self.colour_type, 4)
        passes = _INTERLACED if self.interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            width, height = -(-(self.width - left) // across), -(-(self.height - top) // down)
            total += height * (1 + -(-width * bits // 8)) if width > 0 and height > 0 else 0
        return total

    def can_be_whole(self) -> bool:
        """Whether deflate could have put the image into the bytes that are there."""
        return self.raw_bytes() <= _RATIO * (self.data_bytes() + 8)


def chunks_of(file: BinaryIO) -> PngChunks | None:
    """Walk over the chunks of a file; None if it is no PNG. The file's position is kept, its data is not checked."""
    start = file.tell()
    size = file.seek(0, 2)
    file.seek(0)
    try:
        head = file.read(33)
        if head[:8] != SIGNATURE or head[12:16] != b"IHDR" or len(head) < 33:
            return None
        width, height, depth, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", head[16:29])
        found = PngChunks(width, height, depth, colour_type, bool(interlaced))
        place = 33
        while place + 8 <= size:
            file.seek(place)
            length, name = struct.unpack(">I4s", file.read(8))
            if name in _NOTED:
                found.places.append((name, place + 8, min(length, size - place - 8)))
            if name == b"IEND":
                break
            place += 12 + length
        return found
    finally:
        file.seek(start)


def without_texts(file: BinaryIO, chunks: PngChunks) -> BinaryIO:
    """The file as it would be without text, profile and EXIF; the file itself where it has none of them."""
    if not any(name in _OURS for name, _, _ in chunks.places):
        return file
    end = file.seek(0, 2)
    file.seek(0)
    kept, first = [], 0
    for name, place, length in chunks.places:
        if name in _OURS:
            kept.append((first, place - 8))
            first = min(place + length + 4, end)
    return io.BufferedReader(_Parts(file, [*kept, (first, end)]))


class _Parts(io.RawIOBase):
    """Parts (first, end) of a file as one file; no bytes are copied before they are asked for."""

    def __init__(self, file: BinaryIO, parts: list[tuple[int, int]]) -> None:
        super().__init__()
        self._file, self._place = file, 0
        self._parts = [(first, end) for first, end in parts if end > first]
        self._starts = [0, *accumulate(end - first for first, end in self._parts)]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = max(0, offset + (0, self._place, self._starts[-1])[whence])
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader hands over
        if self._place >= self._starts[-1]:
            return 0
        part = bisect_right(self._starts, self._place) - 1
        first, end = self._parts[part]
        first += self._place - self._starts[part]
        self._file.seek(first)
        data = self._file.read(min(len(buffer), end - first))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def data_of(file: BinaryIO, chunks: PngChunks, wanted: bytes) -> bytes | None:
    """The data of the first chunk of a name, None where there is none or its checksum is wrong."""
    for name, place, length in chunks.places:
        if name == wanted:
            return _checked(file, name, place, length)
    return None


def profile_of(file: BinaryIO, chunks: PngChunks) -> bytes | None:
    """The ICC profile, inflated; b"" where it is there but damaged."""
    data = data_of(file, chunks, b"iCCP")
    if data is None:
        return b"" if any(name == b"iCCP" for name, _, _ in chunks.places) else None
    return _inflated(data.partition(b"\0")[2][1:]) or b""


def exif_of(file: BinaryIO, chunks: PngChunks) -> bytes | None:
    """The EXIF block without header, of an `eXIf` chunk or, as programs wrote it before there was one, of a text."""
    data = data_of(file, chunks, b"eXIf")
    if data is not None:
        return data
    for name, place, length in chunks.places:
        if name not in (b"tEXt", b"zTXt"):
            continue
        file.seek(place)
        if not file.read(min(length, 40)).startswith((b"Raw profile type exif\0", b"Raw profile type APP1\0")):
            continue
        text = (_checked(file, name, place, length) or b"").partition(b"\0")[2]
        text = text if name == b"tEXt" else _inflated(text[1:]) or b""
        try:  # an empty line, the name, the length, and hexadecimal digits
            block = bytes.fromhex("".join(text.decode("ascii").split("\n")[3:]))
        except ValueError:
            return None
        return block.removeprefix(b"Exif\0\0") if block[:6] == b"Exif\0\0" else None
    return None


def xmp_of(file: BinaryIO, chunks: PngChunks) -> bytes | None:
    """The XMP packet of an `iTXt` chunk."""
    for name, place, length in chunks.places:
        if name != b"iTXt":
            continue
        file.seek(place)
        if file.read(min(length, len(_XMP) + 1)) != _XMP + b"\0":
            continue
        data = _checked(file, name, place, length)
        if data is None:
            return None
        compressed, packet = data[len(_XMP) + 1 : len(_XMP) + 2], data[len(_XMP) + 3 :].split(b"\0", 2)
        if len(packet) < 3:
            return None
        return packet[2] if compressed == b"\0" else _inflated(packet[2])
    return None


def colour_chunks(file: BinaryIO, chunks: PngChunks) -> tuple[tuple[bytes, bytes], ...]:
    """(name, data) of the `COLOUR_CHUNKS` that are there."""
    found = ((name, data_of(file, chunks, name)) for name in COLOUR_CHUNKS)
    return tuple((name, data) for name, data in found if data)


def stream_is_whole(file: BinaryIO, chunks: PngChunks) -> bool:
    """Whether the image data inflates to as many bytes as the header asks for. It takes the time of inflating."""
    missing = chunks.raw_bytes()
    stream = zlib.decompressobj()
    for name, place, length in chunks.places:
        if name != b"IDAT":
            continue
        file.seek(place)
        data = file.read(length)
        while data and missing > 0 and not stream.eof:
            missing -= len(stream.decompress(data, 1 << 20))
            data = stream.unconsumed_tail
    while missing > 0 and not stream.eof:
        piece = stream.decompress(b"", 1 << 20)
        if not piece:
            break
        missing -= len(piece)
    return missing <= 0


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk's bytes."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _checked(file: BinaryIO, name: bytes, place: int, length: int) -> bytes | None:
    file.seek(place)
    data, checksum = file.read(length), file.read(4)
    return data if checksum == struct.pack(">I", zlib.crc32(name + data)) else None


def _inflated(data: bytes) -> bytes | None:
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(data, MOST)
    except zlib.error:
        return None
    return inflated if stream.eof else None
