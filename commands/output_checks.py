"""Whether results can be written, asked before the work that makes them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from utils.errors import UserError
from utils.files import size_text, try_writing


def check_output(folder: Path) -> None:
    """Make the folder and write to it, so that a disk that is full or may not be written is known before the work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the folder cannot be made ({error.strerror or error})") from None
    try:
        try_writing(folder, 1 << 16)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}; give another --output") from None


def check_target(target: Path, pixels: int) -> None:
    """Refuse, before the work, a file that cannot be written; how many bytes it will take is not known before."""
    folder = next(parent for parent in target.parents if parent.exists())
    if target.is_dir():
        raise UserError(f"{target}: cannot be written: a folder stands there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{target}: cannot be written: {folder} may not be written to")
    least = pixels // (16 if target.suffix == ".png" else 64)  # less only for pictures that are all but empty
    if (free := shutil.disk_usage(folder).free) < least:
        raise UserError(f"{target}: cannot be written: {size_text(free)} are free, too little for a photo of this size")
