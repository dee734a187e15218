"""Files that appear whole or not at all, and locks."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from utils.errors import UserError

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
_tidied: set[Path] = set()  # folders that this process has written to


def write_atomically(path: Path, payload: bytes, *, sync: bool = True) -> None:
    """`payload` under `path`, whole or not at all, also after a power cut; the folder is made.

    Temporary name in the same folder → fsync → rename → fsync of the folder. On an error what stood under
    `path` before still stands there. The first write to a folder removes what killed writers have left in it.

    Args:
        sync: False: whole or not at all, but for a power cut; where thousands of files are written, and checked.

    Raises:
        UserError: the disk is full, the folder cannot be made or written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent not in _tidied:
            _tidied.add(path.parent)
            remove_temporaries(path.parent)
        descriptor, temporary = _new_temporary(path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            if sync:
                os.fsync(file.fileno())
            temporary.replace(path)
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):  # a folder that cannot be written cannot be tidied either
                temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None


def try_writing(folder: Path, size: int) -> None:
    """Write `size` bytes to a file in `folder` that is then removed, as is what killed writers have left there.

    Raises:
        OSError: the disk is full, the folder cannot be written.
    """
    remove_temporaries(folder)
    descriptor, temporary = _new_temporary(folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
    finally:
        temporary.unlink(missing_ok=True)


def _new_temporary(folder: Path) -> tuple[int, Path]:
    """A file of its own under a name that nobody can have guessed, open and locked for as long as it is."""
    while True:
        path = folder / f".{secrets.token_hex(8)}.tmp"
        # Never through a link, never into a file that is there; short, so that the longest names can be written.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # `remove_temporaries` of another process came between the two calls


def remove_temporaries(folder: Path) -> None:
    """Remove what killed writers have left of `write_atomically` in `folder`; a living one holds its file's lock."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if _TEMPORARY.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_unless_locked(entry)


def _remove_unless_locked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Names made or changed in `folder` are on the disk when this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def size_text(number: float) -> str:
    """A number of bytes (≥ 0) in the unit that shows it: `999 bytes`, `140.0 kB`, `1.2 GB`."""
    unit = 0
    while number >= 999.95 and unit + 1 < len(_UNITS):
        number, unit = number / 1000, unit + 1
    return f"{number:.{1 if unit else 0}f} {_UNITS[unit]}"
