"""Scores on disk as they are made, so that an evaluation that was stopped, or killed, goes on where it was.

A line of JSON for each restored image, appended to a file per process under `<results>/<name>/scores/`. Its key is a
digest of everything that determines the picture: a changed weight file, source image, encoder or network is another
key. Each figure in it is named by its metric, convention and border.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from utils.errors import UserError

_FORMAT = 1  # raise it when the same key could mean other figures


@dataclass(frozen=True)
class Record:
    """One restored image.

    Attributes:
        key: `key_of` everything that determines the picture.
        place: the path of its PNG below the folder of images, whether it was written or not.
        scores: figures by `Measurer.kinds`.
        bits_per_pixel: of the LR image; None where it was not encoded here.
        seconds: of the network.
        png: size in bytes and time of change (ns) of the PNG written; None: none was.
        at: when it was made, in seconds since 1970.
    """

    key: str
    place: str
    scores: dict[str, float]
    bits_per_pixel: float | None
    seconds: float
    png: tuple[int, int] | None
    at: float = 0.0

    def has(self, kinds: Iterable[str]) -> bool:
        """Whether these figures are in it."""
        return all(kind in self.scores for kind in kinds)

    def has_picture(self, png: Path) -> bool:
        """Whether `png` still is the file that was written."""
        return png.is_file() and self.png == stamp(png)


def key_of(facts: Any) -> str:
    """A digest of plain data (as JSON takes it)."""
    return hashlib.sha256(json.dumps([_FORMAT, facts], sort_keys=True).encode()).hexdigest()


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds of a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


class ScoreLog:
    """The log of one evaluation; `rank` says which of its files this process appends to."""

    def __init__(self, folder: Path, rank: int):
        self.folder = folder
        self.path = folder / f"rank{rank}.jsonl"
        self._lock = threading.Lock()

    def read(self) -> dict[str, Record]:
        """The newest record of every key, of all files; lines that a killed process has cut short are passed over."""
        records: dict[str, Record] = {}
        for path in sorted(self.folder.glob("rank*.jsonl")):
            for line in path.read_bytes().splitlines():
                record = _parsed(line)
                if record is not None and (record.key not in records or records[record.key].at <= record.at):
                    records[record.key] = record
        return records

    def append(self, record: Record) -> Record:
        """Add a line, in one write; safe from several threads. Returns the record with its time.

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """
        record = replace(record, at=time.time())
        line = json.dumps(asdict(record)).encode() + b"\n"
        try:
            with self._lock:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self.path.open("a+b") as file:
                    # After a kill the last line may have no end: begin a new one, or both would be lost.
                    if file.seek(0, 2) and not _ends_a_line(file):
                        line = b"\n" + line
                    file.write(line)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        return record


def _ends_a_line(file) -> bool:
    file.seek(-1, 2)
    return file.read(1) == b"\n"


def _parsed(line: bytes) -> Record | None:
    try:
        data = json.loads(line)
        png = data["png"]
        return Record(
            str(data["key"]),
            str(data["place"]),
            {str(name): float(value) for name, value in data["scores"].items()},
            None if data["bits_per_pixel"] is None else float(data["bits_per_pixel"]),
            float(data["seconds"]),
            None if png is None else (int(png[0]), int(png[1])),
            float(data["at"]),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
