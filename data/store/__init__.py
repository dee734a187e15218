"""The prepared store: one `.npy` of raw pixels per image, so that a patch is read without decoding.

    <store>/hr/<image>.npy               HR, uint8 height×width×3
    <store>/x2/none/<image>.npy          clean LR: MATLAB bicubic of the HR cropped to a multiple of 2
    <store>/x2/jpeg10/<image>.npy        the same, compressed and decoded
    <store>/x2/jpeg10/manifest.json      what each folder holds; written last, so that it marks the folder whole
    <store>/pairs/<folder>/              the same for a pair of folders: hr/, and x2/as_is/ of LR files as they are

`<image>` is the file's name with its suffix, so that `a.png` and `a.jpg` keep apart.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.download.catalogue import name_of
from data.packed import is_pack, unpacked
from utils.cli import one_line
from utils.errors import UserError
from utils.images import list_images


class StoreError(UserError):
    """A prepared store that is missing, incomplete or made from other images."""


_IN_NAMES = str.maketrans(">: ", "+-_")
AS_IS = "as is"
"""In place of a compression: LR images that were found as files and not made here."""


@dataclass(frozen=True)
class SourceImage:
    """One HR image: the name it has in a store, its file, and the file of its LR image where that is not made here."""

    name: str
    path: Path
    lr: Path | None = None


def source_images(folders: list[Path]) -> list[SourceImage]:
    """The images of one or several folders, with names that are different for all of them.

    A name is the file's; with several folders the folder's name stands before it, and as many parents as it takes to
    tell the folders apart.

    Raises:
        ImageError, StoreError: a folder that is missing or holds no images.
    """
    listed = [(folder, images_in(folder)) for folder in folders]
    if len(folders) == 1:
        return [SourceImage(path.name, path) for path in listed[0][1]]
    prefixes = distinct_names(folders)
    return [SourceImage(f"{prefix}/{p.name}", p) for prefix, (_, paths) in zip(prefixes, listed) for p in paths]


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder, or of a pack of images (data/packed.py), by name.

    Raises:
        ArchiveError: a pack that is refused.
        StoreError: a missing folder that a command of ours makes, which is named.
        ImageError: another folder that is missing, or one that holds no images.
    """
    if is_pack(folder):
        return list_images(unpacked(folder))
    name = None if folder.exists() else name_of(folder)
    if name is not None:
        raise StoreError(f"{folder}: no such folder; `python -m data.download {name}` gets it")
    return list_images(folder)


def distinct_names(folders: list[Path]) -> list[str]:
    """The shortest ends of the folders' paths (joined by '_') that differ from each other."""
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        raise StoreError(f"the same folder is given twice: {', '.join(map(str, folders))}")
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["_".join(part.strip(os.sep) for part in p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise StoreError(f"folders whose names cannot be told apart: {', '.join(map(str, folders))}")


def leaf(store: Path, scale: int, spec: str) -> Path:
    """The folder of one kind of image: HR (scale 0), or LR at a scale with a compression (`none`: clean)."""
    return store / "hr" if scale == 0 else store / f"x{scale}" / spec.translate(_IN_NAMES)


def map_path(folder: Path, name: str) -> Path:
    """Where the pixels of one image lie in a leaf folder.

    What is not UTF-8 in a name is escaped: torch, which maps the file, takes no other.
    """
    return folder / f"{name.encode('utf-8', 'backslashreplace').decode()}.npy"


def read_manifest(folder: Path, name: str = "manifest.json") -> dict[str, Any] | None:
    """The manifest of a leaf folder, or None where it is not whole yet.

    Raises:
        StoreError: a manifest that is not one of ours, or is not as it was written.
    """
    path = folder / name
    try:
        data = path.read_bytes()
        manifest: dict[str, Any] = json.loads(data)
        manifest["images"].items()
        if manifest["format"] > 1 and data != _with_check(data.rpartition(_CHECK)[0]):
            raise ValueError("altered: its checksum is another")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: not readable ({one_line(error)}); remove it and prepare again") from None
    return manifest


_CHECK = b',\n"check": "'


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """A manifest as `read_manifest` reads it back: JSON with a line for each image, and a checksum of all before it.

    Names that are not UTF-8 (from old archives) stand there escaped, as all that is not ASCII.
    """
    about = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in manifest.items() if key != "images"]
    images = [f"{json.dumps(name)}: {json.dumps(record)}" for name, record in manifest["images"].items()]
    head, lines = ",\n".join(about), ",\n".join(images)
    return _with_check(f'{{{head},\n"images": {{\n{lines}\n}}'.encode())


def _with_check(text: bytes) -> bytes:
    return text + _CHECK + hashlib.sha256(text).hexdigest().encode() + b'"}\n'


def open_map(path: Path) -> np.ndarray:
    """The pixels of one `.npy` as a read-only memory map that holds *no file descriptor*.

    numpy's own maps keep one descriptor each: CISR-PSI on DIV2K has 8,800 maps and the usual limit is 1,024.

    Raises:
        StoreError: not an uint8 height×width×3 array, or a file cut short.
    """
    from torch import from_file, uint8

    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
            shape, fortran, dtype = read_header(file)
            start = file.tell()
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise StoreError(f"{path}: missing from the store; prepare again") from None
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: not a map of pixels ({error}); remove it and prepare again") from None
    if fortran or dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or size != start + int(np.prod(shape)):
        raise StoreError(f"{path}: not a whole uint8 height×width×3 map; remove it and prepare again")
    if not _is_utf8(str(path)):
        raise StoreError(f"{path}: cannot be mapped, the path is not UTF-8; name another store (data.train.prepared)")
    # torch closes the descriptor once the file is mapped; shared=False: private, the file is opened read-only.
    flat = from_file(str(path), shared=False, size=size, dtype=uint8).numpy()
    pixels = flat[start:].reshape(shape)
    pixels.flags.writeable = False
    return pixels


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
