"""Files that appear whole or not at all, and locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.errors import UserError


def write_atomically(path: Path, payload: bytes) -> None:
    """`payload` under `path`, whole or not at all, also after a power cut; the folder is made.

    Temporary name in the same folder → fsync → rename → fsync of the folder. On an error what stood under
    `path` before still stands there.

    Raises:
        UserError: the disk is full, the folder cannot be made or written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):  # a folder that cannot be written cannot be tidied either
            temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_new(path: Path, *, overwrite: bool) -> None:
    """Refuse, before anything slow, an output that would take another's place.

    Raises:
        UserError: `path` is a folder, or a file and not to be overwritten.
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise UserError(f"{path}: is there already; --overwrite replaces a file")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def remove_temporaries(folder: Path) -> None:
    """Remove what writers that were killed have left of `write_atomically` in `folder`."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path` (made where missing); the kernel frees it when the process ends, however it ends.

    Raises:
        UserError: the file cannot be made, or `wait` is false and another process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be made or written: {error.strerror or error}") from None
    # A loader's worker outlives a training that is killed by seconds, and would go on holding the lock.
    os.register_at_fork(after_in_child=file.close)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise UserError(f"{path.parent}: in use by another process; wait for it or choose another name") from None
        yield
