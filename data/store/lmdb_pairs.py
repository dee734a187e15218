"""Reads the LMDB pairs of SubjectiveQE-ESRGAN and the BasicSR family: keys are file stems, values PNG files.

A folder `*.lmdb` holds `data.mdb` and `meta_info.txt`, whose lines read `KEY.png (height,width,channels) N`,
with N the PNG compression level; the `.png` may be missing. OpenCV wrote the PNGs from BGR arrays, which
leaves ordinary PNG files: decoded, they are RGB.

Keys, sizes and PNG data are checked. The page structure of data.mdb is liblmdb's, which trusts it: open only
files whose maker you know.
"""

import io
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import UserError
from utils.images import MAX_PIXELS, ImageError, decode_image
from utils.images.png_chunks import chunks_of

_META_LINE = re.compile(r"(?P<key>.+) \((?P<height>\d{1,6}), ?(?P<width>\d{1,6}), ?(?P<channels>\d)\) \d+")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._()+-]{0,200}")  # keys become file names

Size = tuple[int, int]  # height, width


class LmdbError(UserError):
    """An LMDB folder that cannot be used: one line with the folder, the key and the reason."""


def read_meta(folder: str | Path) -> dict[str, Size]:
    """Return {key: (height, width)} as `meta_info.txt` lists them, in its order.

    Raises LmdbError if it is missing, a line is malformed, a key is listed twice or is no plain file stem, or
    images do not have three channels.
    """
    path = Path(folder) / "meta_info.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise LmdbError(f"{path}: missing; give the folder that holds data.mdb and meta_info.txt") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LmdbError(f"{path}: cannot be read ({error})") from None
    sizes: dict[str, Size] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _META_LINE.fullmatch(line.strip())
        if match is None:
            raise LmdbError(f"{path}:{number}: expected 'KEY (height,width,channels) N', found {line[:60]!r}")
        key = match["key"].removesuffix(".png")
        height, width = int(match["height"]), int(match["width"])
        if not _KEY.fullmatch(key) or ".." in key:
            raise LmdbError(f"{path}:{number}: key {key[:60]!r} cannot become a file name: refused")
        if key in sizes:
            raise LmdbError(f"{path}:{number}: key {key!r} is listed twice")
        if match["channels"] != "3":
            raise LmdbError(f"{path}:{number}: key {key!r} has {match['channels']} channels, only RGB is read")
        if not 0 < height * width <= MAX_PIXELS:
            raise LmdbError(f"{path}:{number}: key {key!r} has {height}x{width} pixels, the limit is {MAX_PIXELS:,}")
        sizes[key] = (height, width)
    if not sizes:
        raise LmdbError(f"{path}: lists no images")
    return sizes


def read_lmdb(folder: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (key, image uint8 HWC RGB) in the order of `meta_info.txt`; one image is in memory at a time.

    Raises LmdbError: at the first image for what `read_meta` refuses, a missing or damaged data.mdb, and keys
    that only one of meta_info.txt and data.mdb has; at any image for bytes that are no PNG or another size.
    """
    folder = Path(folder)
    sizes = read_meta(folder)
    with _opened(folder) as transaction:
        _check_keys(folder, transaction, sizes)
        for key, size in sizes.items():
            yield key, _decode(folder, key, transaction.get(key.encode("ascii")), size)


def pair_keys(gt: str | Path, lq: str | Path) -> dict[str, Size]:
    """Return {key: (height, width)} of a pair of LMDB folders, in the order of the first one's meta_info.txt.

    Decodes nothing. Raises LmdbError unless both hold the same keys with the same sizes, in meta_info.txt and
    in data.mdb.
    """
    gt, lq = Path(gt), Path(lq)
    if gt.resolve() == lq.resolve():
        raise LmdbError(f"{gt}: given as both halves of the pair: give the compressed images as the second")
    sizes, others = read_meta(gt), read_meta(lq)
    _compare(sizes, others, f"{gt} and not in {lq}", f"{lq} and not in {gt}")
    for key, size in sizes.items():
        if others[key] != size:
            raise LmdbError(f"{lq}: key {key!r} is {_by(others[key])} pixels, but {_by(size)} in {gt}")
    for folder in (gt, lq):
        with _opened(folder) as transaction:
            _check_keys(folder, transaction, sizes)
    return sizes


def import_pair(gt_lmdb: str | Path, lq_lmdb: str | Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (key, ground truth, compressed), both uint8 HWC RGB of one size. Raises LmdbError.

    The pair as a whole is checked (`pair_keys`) before this returns, each image when it is its turn.
    """
    return _pairs(Path(gt_lmdb), Path(lq_lmdb), pair_keys(gt_lmdb, lq_lmdb))


def _pairs(gt: Path, lq: Path, sizes: dict[str, Size]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    with _opened(gt) as gt_values, _opened(lq) as lq_values:
        for key, size in sizes.items():
            name = key.encode("ascii")
            truth = _decode(gt, key, gt_values.get(name), size)
            yield key, truth, _decode(lq, key, lq_values.get(name), size)


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """A read-only transaction on the folder's data.mdb."""
    try:
        import lmdb
    except ModuleNotFoundError:
        raise LmdbError(f"{folder}: reading it needs the package lmdb: pip install 'lmdb>=1.4'") from None
    path = folder / "data.mdb"
    if not path.is_file():
        raise LmdbError(f"{path}: missing; give the folder that holds data.mdb and meta_info.txt")
    try:
        # No lock file: it may lie on a medium that cannot be written, and nobody writes it now.
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
    except lmdb.Error as error:
        raise LmdbError(f"{path}: cannot be opened: damaged, or not an LMDB file ({error})") from None
    with environment:
        # LMDB maps the file: to read a page behind a cut-off end would kill the process.
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if path.stat().st_size < needed:
            raise LmdbError(f"{path}: cut short, {path.stat().st_size:,} of {needed:,} bytes: copy it again")
        try:
            with environment.begin() as transaction:
                yield transaction
        except lmdb.Error as error:
            raise LmdbError(f"{path}: damaged ({error}): copy it again") from None


def _check_keys(folder: Path, transaction: Any, sizes: dict[str, Size]) -> None:
    found = {key.decode("ascii", "backslashreplace") for key in transaction.cursor().iternext(values=False)}
    listed, held = f"{folder}/meta_info.txt", f"{folder}/data.mdb"
    _compare(sizes, found, f"{listed} and not in {held}", f"{held} and not in {listed}")


def _compare(first: Collection[str], second: Collection[str], only_first: str, only_second: str) -> None:
    for some, others, where in ((first, second, only_first), (second, first, only_second)):
        missing = sorted(set(some) - set(others))
        if missing:
            raise LmdbError(f"key {missing[0][:60]!r} is in {where} ({len(missing)} such keys)")


def _decode(folder: Path, key: str, value: bytes, size: Size) -> np.ndarray:
    chunks = chunks_of(io.BytesIO(value))
    if chunks is not None and chunks.width * chunks.height != size[0] * size[1]:  # before it takes memory
        held = _by((chunks.height, chunks.width))
        raise LmdbError(f"{folder}: key {key!r} holds {held} pixels, but meta_info.txt says {_by(size)}")
    try:
        image = decode_image(value, f"{folder}: key {key!r}", ("PNG",))
    except ImageError as error:
        raise LmdbError(str(error)) from None
    if image.shape[:2] != size:
        raise LmdbError(f"{folder}: key {key!r} holds {_by(image.shape)} pixels, but meta_info.txt says {_by(size)}")
    return image


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]}x{size[1]}"
