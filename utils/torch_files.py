"""Files of `torch.save`, read without running code from them and without trusting what they say of themselves."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import torch

_ZIP = b"PK\x03\x04"
_POINTER = b"version https://git-lfs"
_PAGE = (b"<!doctype html", b"<html", b"<?xml")


class TorchFileError(Exception):
    """Why a file cannot be read, without its name."""


def load_torch_file(path: Path) -> Any:
    """The content of a file of `torch.save`, on the CPU: tensors, numbers, text and containers of these.

    The checksums of a zip's records are compared, which torch itself does not do.

    Raises:
        TorchFileError: a damaged file, one that asks for code (pickles, TorchScript), or that unpacks to more bytes
            than it has.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    if head == _ZIP:
        _check_zip(path)
    try:
        with path.open("rb") as file:  # of a name torch would believe the suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here: pickle, zip, runtime, EOF errors
        asked = re.search(r"GLOBAL (\S+)", str(error))  # torch goes on to advise switching its check off
        reason = f"it asks for {asked[1]}" if asked else type(error).__name__
        raise TorchFileError(f"not a file of plain tensors, refused ({reason})") from None


def foreign_kind(path: Path) -> str | None:
    """What a file is that was taken for weights by mistake: `a Git LFS pointer`, `a web page`; None for others.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(512).lstrip().lower()
    if head.startswith(_POINTER):
        return "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`"
    if head.startswith(_PAGE):
        return "a web page, not weights; download the file itself"
    return None


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            # torch runs the program of a TorchScript archive before version 2.6, and refuses it since.
            if any(record.filename.endswith("/constants.pkl") or "/code/" in record.filename for record in records):
                raise TorchFileError("a TorchScript program, not a file of plain tensors; refused")
            # torch.save stores without compression.
            if sum(record.file_size for record in records) > path.stat().st_size:
                raise TorchFileError("its records unpack to more bytes than the file has; refused")
            damaged = archive.testzip()
    except TorchFileError:
        raise
    except Exception as error:  # zipfile raises many types on damaged files
        raise TorchFileError(f"damaged ({type(error).__name__}); get a whole copy") from None
    if damaged is not None:
        raise TorchFileError(f"damaged: checksum of {damaged}; get a whole copy")
