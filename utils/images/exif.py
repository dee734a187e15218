"""EXIF that lasts when a photo's pixels change, copied byte for byte (Exif 2.32, 4.6; TIFF 6.0, section 2).

Text in EXIF is ASCII by the standard and UTF-8 or a code page in files of today: values are never decoded here, so
that none is lost. What would be wrong or unreadable afterwards is left out: preview, maker's notes, sizes, orientation.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

MOST = 65_000
"""Bytes of a block that is kept: what a JPEG segment has room for."""

_DETAILS, _PLACE = 0x8769, 0x8825  # pointers to the directories of Exif and GPS
# Description, make, model, software, date, artist, copyright; Windows' title, comment, author, keywords, subject.
_KEPT = {270, 271, 272, 305, 306, 315, 33432, *range(0x9C9B, 0x9CA0)}
_DROPPED_DETAILS = {0x927C, 0xA002, 0xA003, 0xA005}  # maker's notes, width, height, interoperability
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}  # of each type
_LONG = 4


class ExifError(ValueError):
    """A block that cannot be kept; the text says why, to stand behind `without its EXIF data, `."""


class _TooLong(ExifError):
    def __init__(self) -> None:
        super().__init__("which is too long")


@dataclass(frozen=True)
class _Entry:
    tag: int
    type: int
    count: int
    value: bytes


def lasting_exif(file: BinaryIO) -> tuple[bytes | None, int]:
    """Read a TIFF structure (an EXIF block without its header `Exif`, or a TIFF or BigTIFF file) from its beginning.

    Returns:
        A block of the entries that last, without header, in the byte order that it had, None where there are none;
        and how many entries were left out because they are damaged.

    Raises:
        ExifError: the structure is damaged, or what lasts is longer than `MOST`.
    """
    reader = _Reader(file)
    main = reader.directory(reader.first, lambda tag: tag in _KEPT or tag in (_DETAILS, _PLACE))
    damaged = reader.damaged
    directories = {0: [entry for tag, entry in sorted(main.items()) if tag in _KEPT]}
    for pointer, dropped in ((_DETAILS, _DROPPED_DETAILS), (_PLACE, set())):
        if pointer not in main:
            continue
        try:
            found = reader.directory(reader.offset(main[pointer]), _all_but(dropped))
        except ExifError:
            damaged += 1
            continue
        directories[pointer] = [entry for _, entry in sorted(found.items())]
        damaged += reader.damaged
    if not any(directories.values()):
        return None, damaged
    block = _written(directories, reader.order)
    if len(block) > MOST:
        raise _TooLong
    return block, damaged


def _all_but(dropped: set[int]) -> Callable[[int], bool]:
    return lambda tag: tag not in dropped


class _Reader:
    """Directories of a TIFF structure; nothing outside the file's own bytes is believed."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, 2)
        self.damaged = 0  # entries left out by the last `directory`
        head = self._at(0, 8)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self.order:
            raise ExifError("which is damaged")
        self.big = struct.unpack(f"{self.order}H", head[2:4])[0] == 43
        where = self._at(8, 8) if self.big else head[4:8]
        self.first = struct.unpack(f"{self.order}{'Q' if self.big else 'L'}", where)[0]

    def _at(self, place: int, count: int) -> bytes:
        if place + count > self.size:
            raise ExifError("which is damaged")
        self.file.seek(place)
        return self.file.read(count)

    def directory(self, place: int, wanted: Callable[[int], bool]) -> dict[int, _Entry]:
        """The wanted entries at `place` by tag; damaged ones, and types that EXIF does not have, are left out."""
        self.damaged = 0
        number, entry = (">Q", "HHQQ") if self.big else (">H", "HHLL")
        count = struct.unpack(self.order + number[1:], self._at(place, struct.calcsize(number)))[0]
        if count > 4096:
            raise ExifError("which is damaged")
        size = struct.calcsize(f"={entry}")
        table = self._at(place + struct.calcsize(number), count * size)
        found: dict[int, _Entry] = {}
        total = 0
        for start in range(0, len(table), size):
            tag, kind, length, _ = struct.unpack(self.order + entry, table[start : start + size])
            inside = table[start + size - (8 if self.big else 4) : start + size]
            if not wanted(tag):
                continue
            bytes_ = _BYTES.get(kind, 0) * length
            try:
                if kind not in _BYTES or bytes_ > self.size:
                    raise ExifError("which is damaged")
                if bytes_ > MOST:
                    raise _TooLong
                far = bytes_ > len(inside)
                value = self._at(self.unsigned(inside), bytes_) if far else inside[:bytes_]
            except _TooLong:
                raise
            except ExifError:
                self.damaged += 1
                continue
            total += bytes_
            if total > MOST:
                raise _TooLong
            found[tag] = _Entry(tag, kind, length, value)
        return found

    def unsigned(self, value: bytes) -> int:
        return int.from_bytes(value, "little" if self.order == "<" else "big")

    def offset(self, pointer: _Entry) -> int:
        if pointer.count != 1:
            raise ExifError("which is damaged")
        return self.unsigned(pointer.value)


def _written(directories: dict[int, list[_Entry]], order: str) -> bytes:
    """A classic TIFF structure: the main directory under 0, those that it points to under their pointer's tag."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)
    pointers = [tag for tag, entries in directories.items() if tag and entries]
    main = [*directories[0], *(_Entry(tag, _LONG, 1, bytes(4)) for tag in pointers)]
    places: dict[int, int] = {}
    block = head + _packed(sorted(main, key=lambda entry: entry.tag), 8, order)
    for tag in pointers:
        places[tag] = len(block)
        block += _packed(directories[tag], len(block), order)
    filled = [
        _Entry(entry.tag, _LONG, 1, struct.pack(f"{order}L", places[entry.tag])) if entry.tag in places else entry
        for entry in sorted(main, key=lambda entry: entry.tag)
    ]
    first = head + _packed(filled, 8, order)
    return first + block[len(first) :]


def _packed(entries: list[_Entry], place: int, order: str) -> bytes:
    """One directory that begins at `place`, and behind it the values that have no room inside."""
    table = struct.pack(f"{order}H", len(entries))
    behind = b""
    start = place + 2 + 12 * len(entries) + 4
    for entry in entries:
        inside = entry.value.ljust(4, b"\0")
        if len(entry.value) > 4:
            inside = struct.pack(f"{order}L", start + len(behind))
            behind += entry.value + b"\0" * (len(entry.value) % 2)  # values begin at even places
        table += struct.pack(f"{order}HHL", entry.tag, entry.type, entry.count) + inside
    return table + bytes(4) + behind
