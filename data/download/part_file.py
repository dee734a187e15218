"""A download that is not complete yet: its bytes and a note that identifies the file on the server."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path
from typing import Any, BinaryIO


class PartFile:
    """NAME.part, and NAME.part.json with the address, size and validator of the file that it is the beginning of."""

    def __init__(self, target: Path, url: str):
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        self.url = url

    def size(self) -> int:
        """Bytes that have arrived; a link counts as none and is removed before anything is written."""
        if self.path.is_symlink() or not self.path.exists():
            return 0
        return self.path.stat().st_size

    def origin(self) -> dict[str, Any] | None:
        """The note ({"url", "header", "validator", "total"}) if it is valid and for this address, else None."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            sound = note["url"] == self.url and note["header"] in ("ETag", "Last-Modified")
            sound = sound and isinstance(note["total"], int) and is_strong(note["validator"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return note if sound else None

    def complete(self) -> bool:
        """Whether all bytes of the noted file have arrived."""
        origin = self.origin()
        return origin is not None and self.size() == origin["total"] > 0

    def restart(self, headers: http.client.HTTPMessage, total: int | None) -> None:
        """Empty the file, then write the note, in this order: no old byte may lie beside a new note."""
        self.discard()
        open_own(self.path, os.O_EXCL).close()
        for header in ("ETag", "Last-Modified"):
            if total is not None and is_strong(headers.get(header)):
                note = {"url": self.url, "header": header, "validator": headers[header], "total": total}
                with open_own(self.note, os.O_EXCL) as file:
                    file.write(json.dumps(note).encode())
                return

    def discard(self) -> None:
        """Remove the file and its note."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def finish(self, target: Path) -> None:
        """Sync the file and rename it to `target`."""
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(target)
        self.note.unlink(missing_ok=True)


def open_own(path: Path, flags: int) -> BinaryIO:
    """Open a file for writing, never through a link: others may have placed one under a name that they can guess."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o666), "wb")


def is_strong(validator: str | None) -> bool:
    """Whether a validator is allowed in If-Range: a weak ETag is not, as files with other bytes may share it."""
    if not validator:
        return False
    return validator.isascii() and validator.isprintable() and not validator.startswith("W/")
