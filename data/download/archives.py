"""Folders of images from an untrusted zip or tar archive.

An archive is refused if any member has an absolute name, contains `..`, is a link or a device, or if the archive
expands more than images can (`MAX_EXPANSION`). The wanted images are copied, under their plain file names, into a
temporary folder beside the target, which is renamed to the target when all images are there. Reading each member to its
end checks the CRC of a zip (or that of gzip over a .tgz).
"""

import gzip
import io
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

from tqdm import tqdm

from utils.errors import UserError
from utils.images import ImageError, image_size

MAX_EXPANSION = 20  # as a multiple of the archive's size; PNG and JPEG files hardly compress
SLACK = 1 << 24  # additional bytes: small archives are mostly headers and padding
CHUNK = 1 << 18

_IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ ()-]{0,120}\.(png|jpe?g|bmp|ppm)", re.IGNORECASE)
# Errors of the standard library for damaged archives. RuntimeError: encrypted, or nested too deeply.
_UNREADABLE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError,
    RuntimeError, ValueError, LookupError, OverflowError,
)  # fmt: skip


class ArchiveError(UserError):
    """An archive is refused, or lacks the expected images."""


class DamagedArchiveError(ArchiveError):
    """An archive cannot be read to its end; another copy may be intact."""


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images inside an archive, and its target on disk."""

    inside: str  # the last parts of its path in the archive, such as "Set5/HR"; "*": any folder
    target: Path  # must not exist, or be an empty folder
    count: int  # expected number of images


@dataclass(frozen=True)
class _Member:
    name: str
    kind: str  # "file", "folder" or "other"
    size: int  # bytes, according to the archive
    open: Callable[[], IO[bytes] | None]  # None unless it is a file


def unpack(archive: Path, folders: Sequence[ImageFolder]) -> None:
    """Unpack folders of images (.zip, .tgz, .tar.gz or .tar); each appears complete, or not at all.

    Raises:
        DamagedArchiveError: not an archive, truncated, a wrong checksum, encrypted.
        ArchiveError: a refused member (see the module), a wrong number of images, a file that is not an image.
        OSError: the disk refuses to be written.
    """
    temporary = {}
    for folder in folders:
        target = folder.target.resolve()  # follow a link to a folder on another disk, and work there
        temporary[folder] = target.with_name(f".{target.name}.unpacking")
    try:
        for path in temporary.values():
            shutil.rmtree(path, ignore_errors=True)  # left by a killed run
            path.mkdir(parents=True)
        _copy_images(archive, temporary)
        for folder, path in temporary.items():
            _check_images(archive, folder, path)
        for folder, path in temporary.items():
            path.rename(folder.target.resolve())
    finally:
        for path in temporary.values():
            shutil.rmtree(path, ignore_errors=True)


def count_images(archive: Path, inside: str) -> int:
    """Number of images in the folder `inside` of an archive; members are checked as by `unpack`.

    Raises:
        ArchiveError: as `unpack`.
    """
    limit, members = _members(archive)
    with closing(members):
        return sum(_wanted(member, inside) for member in _checked(archive, members, limit))


def _copy_images(archive: Path, temporary: dict[ImageFolder, Path]) -> None:
    limit, members = _members(archive)
    left = {folder: folder.count for folder in temporary}
    bar = tqdm(total=sum(left.values()), desc=f"unpacking {archive.name}", unit="image", disable=None, leave=False)
    with bar, closing(members):
        for member in _checked(archive, members, limit):
            folder = next((f for f in temporary if _wanted(member, f.inside)), None)
            if folder is None:
                continue
            left[folder] -= 1
            if left[folder] < 0:
                raise ArchiveError(f"{archive}: more than the {folder.count} images of {folder.inside} in it")
            _copy(archive, member, temporary[folder] / member.name.rpartition("/")[2])
            bar.update()


def _members(archive: Path) -> tuple[int, Generator[_Member, None, None]]:
    """The largest unpacked size in bytes, and the members of the archive."""
    limit = SLACK + MAX_EXPANSION * archive.stat().st_size
    return limit, _zip_members(archive) if archive.suffix.lower() == ".zip" else _tar_members(archive, limit)


def _checked(archive: Path, members: Iterator[_Member], limit: int) -> Iterator[_Member]:
    unpacked = 0
    for member in members:
        _check_member(archive, member)
        unpacked += max(0, member.size)
        if unpacked > limit:
            raise ArchiveError(
                f"{archive}: refused, it unpacks to more than {limit / 1e6:,.0f} MB, which images cannot"
            )
        yield member


def _wanted(member: _Member, inside: str) -> bool:
    """Whether a member is an image in the folder `inside`."""
    *parents, name = member.name.split("/")
    in_folder = inside == "*" or _ends_with(parents, inside.split("/"))
    return in_folder and member.kind == "file" and _IMAGE_NAME.fullmatch(name) is not None


def _copy(archive: Path, member: _Member, path: Path) -> None:
    try:
        out = path.open("xb")
    except FileExistsError:
        raise ArchiveError(f"{archive}: refused, two members are called {_shown(path.name)}") from None
    with out:
        with _reading(archive):
            source = member.open()
        assert source is not None
        with source:
            while True:
                with _reading(archive):
                    chunk = source.read(CHUNK)
                if not chunk:
                    break
                out.write(chunk)
        out.flush()
        if out.tell() != member.size:
            raise DamagedArchiveError(f"{archive}: damaged, {_shown(member.name)} is cut short")
        os.fsync(out.fileno())


def _check_images(archive: Path, folder: ImageFolder, path: Path) -> None:
    files = sorted(path.iterdir())
    if len(files) != folder.count:
        raise ArchiveError(
            f"{archive}: holds {len(files)} images in {folder.inside}, expected {folder.count}: "
            "cut short, or not the published archive"
        )
    for file in files:
        try:
            image_size(file)
        except ImageError:
            raise ArchiveError(f"{archive}: {folder.inside}/{file.name} in it is not an image") from None


def _check_member(archive: Path, member: _Member) -> None:
    absolute = member.name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", member.name)
    if absolute or ".." in re.split(r"[/\\]", member.name):
        raise ArchiveError(f"{archive}: refused, {_shown(member.name)} would be written outside")
    if member.kind == "other":
        raise ArchiveError(f"{archive}: refused, {_shown(member.name)} is a link or a device, not an image")


def _zip_members(archive: Path) -> Generator[_Member, None, None]:
    with _reading(archive), zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
            kind = kinds.get(stat.S_IFMT(info.external_attr >> 16), "other")  # 0: the archive has no Unix file modes
            kind = "folder" if info.is_dir() and kind == "file" else kind
            yield _Member(info.filename, kind, info.file_size, partial(opened.open, info))


def _tar_members(archive: Path, limit: int) -> Generator[_Member, None, None]:
    zipped = archive.suffix.lower() in (".tgz", ".gz")
    with _reading(archive), archive.open("rb") as raw:
        stream = _Limited(gzip.GzipFile(fileobj=raw) if zipped else raw, limit)
        # Members are read in order; nothing is read twice.
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", bufsize=CHUNK) as opened:
            for info in opened:
                kind = "file" if info.isreg() else "folder" if info.isdir() else "other"
                yield _Member(info.name, kind, info.size, partial(opened.extractfile, info))
        while stream.read(CHUNK):  # to the end, where gzip's checksum is
            pass


class _Limited:
    """Limits a tar whose headers (long names) would fill the memory."""

    def __init__(self, file: io.BufferedIOBase, limit: int):
        self.file, self.left = file, limit + SLACK

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ArchiveError("the archive is refused, it unpacks to more than images can")
        return data


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except ArchiveError:
        raise
    except _UNREADABLE as error:
        raise DamagedArchiveError(f"{archive}: damaged, or not an archive ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


def _ends_with(parts: list[str], ending: list[str]) -> bool:
    return parts[-len(ending) :] == ending


def _shown(name: str) -> str:
    return ascii(name if len(name) <= 80 else name[:77] + "…")
