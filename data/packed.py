"""A `.tar` of `data.pack` in place of a folder of HR images: unpacked once, into a folder beside it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from data.download.archives import ArchiveError, ImageFolder, count_images, unpack
from utils.errors import UserError
from utils.files import locked, sha256_of

IMAGES = "images"
"""The folder inside the archive that holds the images."""


def is_pack(path: Path) -> bool:
    """Whether a path is an archive of images instead of a folder."""
    return path.suffix.lower() == ".tar" and not path.is_dir()


def unpacked(archive: Path) -> Path:
    """The folder of the images, `NAME.<first digits of its SHA-256>`, created beside the archive if it is missing.

    The archive is untrusted (see data/download/archives.py). Several processes may call this at once.

    Raises:
        ArchiveError: the archive is refused or damaged, or has no images in `images/`.
        UserError: the file is missing, or the folder beside it cannot be written.
    """
    try:
        known = archive.stat()
    except OSError as error:
        raise UserError(f"{archive}: cannot be read: {error.strerror}; `python -m data.pack` makes one") from None
    return _unpacked(archive.resolve(), known.st_size, known.st_mtime_ns)


@lru_cache
def _unpacked(archive: Path, _size: int, _changed: int) -> Path:
    folder = archive.with_name(f"{archive.stem}.{sha256_of(archive)[:12]}")
    if folder.is_dir():
        return folder
    with locked(archive.with_name(f".{archive.name}.lock"), wait=True):
        if not folder.is_dir():  # renamed when all images are there
            count = count_images(archive, IMAGES)
            if count == 0:
                raise ArchiveError(
                    f"{archive}: holds no PNG or JPEG files in {IMAGES}/; `python -m data.pack` makes one"
                )
            try:
                unpack(archive, [ImageFolder(IMAGES, folder, count)])
            except OSError as error:
                raise UserError(f"{folder}: cannot be made: {error.strerror or error}") from None
    return folder
