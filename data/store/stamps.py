"""What files looked like when their content was last known, so that it need not be read again.

    <store>/.stamps.json    of each HR image and each map: size and times; of an image also its SHA-256

A quick check: where size and times are those noted, the content is taken to be the same. The file is a memory, no part
of what a store holds: without it everything is read once more.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from data.store import SourceImage
from utils.errors import UserError
from utils.files import sha256_of, write_atomically

Stamp = tuple[int, int, int]
"""Size in bytes, times of change of content and of anything (ns)."""

_RECENT_NS = 2_000_000_000
"""A file younger than this could change once more at the same time of change: some file systems count in 2 s."""


def stamp_of(path: Path) -> Stamp:
    """What a file looks like now. Raises OSError."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


class Stamps:
    """The stamps of one store; `save` where `changed`."""

    def __init__(self, store: Path):
        self.path = store / ".stamps.json"
        self.changed = False
        self._sources: dict[str, list[Any]] = {}
        self._maps: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            noted = json.loads(self.path.read_bytes())
            self._sources, self._maps = dict(noted["sources"]), dict(noted["maps"])

    def source_digest(self, image: SourceImage, *, read: bool = False) -> str:
        """SHA-256 of an HR image's file, or of a pair of files; what looks as noted is read only where `read` says so.

        Raises:
            OSError: it is gone, or cannot be read.
        """
        digest = self._file_digest(image.name, image.path, read)
        return digest if image.lr is None else digest_of_pair(digest, self._file_digest(lr_key(image), image.lr, read))

    def _file_digest(self, key: str, path: Path, read: bool) -> str:
        stamp = stamp_of(path)
        noted = self._sources.get(key)
        if not read and noted is not None and noted[:3] == list(stamp):
            known: str = noted[3]
            return known
        digest = sha256_of(path)
        self.note_source(key, stamp, digest)
        return digest

    def note_source(self, key: str, stamp: Stamp, digest: str) -> None:
        """`stamp` was taken before the content was read; `key`: the image's name, or `lr_key` for its LR file."""
        if time.time_ns() - stamp[1] > _RECENT_NS and self._sources.get(key) != [*stamp, digest]:
            self._sources[key] = [*stamp, digest]
            self.changed = True

    def is_known(self, path: str, stamp: Stamp) -> bool:
        """Whether a map looks as it did when its checksum was last compared."""
        return self._maps.get(path) == list(stamp[:2])

    def note_map(self, path: str, stamp: Stamp) -> None:
        """A map's content is what its record says."""
        if not self.is_known(path, stamp):
            self._maps[path] = list(stamp[:2])
            self.changed = True

    def save(self) -> None:
        """Write them, where the store can be written."""
        if self.changed:
            with suppress(UserError):
                write_atomically(self.path, json.dumps({"sources": self._sources, "maps": self._maps}).encode())
                self.changed = False


def lr_key(image: SourceImage) -> str:
    """What the LR file of a pair is noted under."""
    return f"lr/{image.name}"


def digest_of_pair(hr: str, lr: str) -> str:
    """The digest of a pair of files, of either file's."""
    return digest_of((hr + lr).encode())


def digest_of(payload: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(payload).hexdigest()
