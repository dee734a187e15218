"""Log of scores, from which an evaluation continues after it was stopped or killed.

A line of JSON for each restored image, appended to a file per process under `<results>/<name>/scores/`. Its key is a
digest of everything that determines the picture: a changed weight file, source image, encoder or network is another
key. Each figure in it is named by its metric, convention, border and, where it is not of the 8-bit image, by what was
scored. Each line carries a checksum: a figure that has changed on disk is none.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import threading
import time
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.visible import visible

_FORMAT = 1  # increase it if the scores of an existing key change


@dataclass(frozen=True)
class Record:
    """One restored image: begun with its key and place, completed by restoration and metrics, logged, shown in tables.

    Attributes:
        key: `key_of` everything that determines the picture.
        place: the path of its PNG below the folder of images, even if no PNG was written.
        scores: scores by `Measurer.kinds`.
        bits_per_pixel: of the LR image; None if it was not encoded here.
        seconds: time of the network.
        png: size in bytes and modification time (ns) of the PNG; None if none was written.
        at: time of the last log entry, in seconds since 1970; 0 before the first.
    """

    key: str
    place: str
    scores: dict[str, float] = field(default_factory=dict)
    bits_per_pixel: float | None = None
    seconds: float = 0.0
    png: tuple[int, int] | None = None
    at: float = 0.0

    def has(self, kinds: Iterable[str]) -> bool:
        """Whether the record has all these scores."""
        return all(kind in self.scores for kind in kinds)

    def has_picture(self, png: Path) -> bool:
        """Whether `png` is still the file that was written."""
        return png.is_file() and self.png == stamp(png)


def key_of(facts: Any) -> str:
    """A digest of plain data that JSON can represent."""
    return hashlib.sha256(json.dumps([_FORMAT, facts], sort_keys=True).encode()).hexdigest()


def stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in nanoseconds of a file."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


class ScoreLog:
    """The log of one evaluation; this process appends to the file of its `rank`."""

    def __init__(self, folder: Path, rank: int):
        self.folder = folder
        self.path = folder / f"rank{rank}.jsonl"
        self._lock = threading.Lock()

    def read(self) -> dict[str, Record]:
        """The newest record of every key in all files.

        Lines that are damaged, or incomplete because a process was killed, are skipped and their number is printed.
        """
        records: dict[str, Record] = {}
        for path in sorted(self.folder.glob("rank*.jsonl")):
            lines = [line for line in path.read_bytes().split(b"\n") if line]
            whole = [record for line in lines if (record := _parsed(line)) is not None]
            if damaged := len(lines) - len(whole):
                print(
                    f"{visible(path)}: {damaged} lines have no right checksum (damaged, cut short, or of an older "
                    "version) and are not used",
                    file=sys.stderr,
                )
            for record in whole:
                if record.key not in records or records[record.key].at <= record.at:
                    records[record.key] = record
        return records

    def append(self, record: Record) -> Record:
        """Append a line in one write, from any thread.

        Returns:
            The record with the time of this entry, which is later than `record.at`.

        Raises:
            UserError: the disk is full, or the folder cannot be written.
        """
        # If the clock was set back, the new entry would count as the older one, and every run would repeat the image.
        record = replace(record, at=max(time.time(), math.nextafter(record.at, math.inf)))
        data = asdict(record)
        line = json.dumps({**data, "check": _check(data)}).encode() + b"\n"
        try:
            with self._lock:
                self.folder.mkdir(parents=True, exist_ok=True)
                with self.path.open("a+b") as file:
                    # After a kill the last line may be incomplete: without a new line both would be lost.
                    if file.seek(0, 2) and not _ends_a_line(file):
                        line = b"\n" + line
                    file.write(line)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        return record


def _ends_a_line(file) -> bool:
    file.seek(-1, 2)
    return file.read(1) == b"\n"


def _check(data: dict[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(data, sort_keys=True).encode()):08x}"


def _parsed(line: bytes) -> Record | None:
    try:
        data = json.loads(line)
        if data.pop("check") != _check(data):
            return None
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
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
