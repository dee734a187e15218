"""Which photos a command line means, and where each restored one goes. Nothing is opened here."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from utils.errors import UserError
from utils.images import SUFFIXES

PHOTO_SUFFIXES = (*SUFFIXES, ".gif", ".jfif")
"""What is taken for a photo in a folder; a file that is named by itself may be called anything."""


@dataclass(frozen=True)
class Job:
    """One photo and the file that its restored image becomes."""

    source: Path
    target: Path


def find_jobs(inputs: list[str], output: Path, suffix: str) -> list[Job]:
    """The photos of files, folders (with sub-folders, hidden ones left out) and globs, each once, in order.

    Sub-folders are mirrored below `output`, which itself is not searched. `a.jpg` becomes `a.png`; where two photos
    would become one file, both get their own suffix into the name: `a_jpg.png`, `a_webp.png`.

    Raises:
        UserError: an input that is not there or holds no photo, or targets that are one file after all, or an input.
    """
    found: dict[Path, Path] = {}  # source → below output, still with its own suffix
    for text in inputs:
        pairs = _of_input(text, output)
        if not pairs:
            raise UserError(f"{text}: no photos there ({', '.join(PHOTO_SUFFIXES)})")
        for source, below in pairs:
            found.setdefault(source, below)
    jobs = [Job(source, output / below.with_suffix(suffix)) for source, below in found.items()]
    shared = {job.source for alike in _sharing_a_target(jobs) for job in alike}
    jobs = [_with_own_suffix(job) if job.source in shared else job for job in jobs]
    for alike in _sharing_a_target(jobs):
        raise UserError(
            f"{alike[0].source} and {alike[1].source} would both become {alike[0].target}: "
            "rename one, or give the folder above both"
        )
    sources = {source.resolve() for source in found}
    for job in jobs:
        if job.target.resolve() in sources:
            raise UserError(f"{job.target}: is one of the photos to restore; give another --output")
    return jobs


def _of_input(text: str, output: Path) -> list[tuple[Path, Path]]:
    """(photo, its path relative to the input), sorted."""
    path = Path(text)
    if path.is_dir():
        return [(file, file.relative_to(path)) for file in _in_folder(path, output)]
    if path.exists():
        return [(path, Path(path.name))]
    if not glob.has_magic(text):
        raise UserError(f"{text}: no such file or folder")
    fixed = []
    for part in path.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    base = Path(*fixed)
    matched = (Path(name) for name in glob.glob(text, recursive=True))  # noqa: PTH207 — Path.glob takes no absolute ones
    return [(file, file.relative_to(base)) for file in sorted(matched) if _is_photo(file)]


def _in_folder(folder: Path, output: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename}: the folder cannot be read ({error.strerror})")

    files = []
    for here, folders, names in os.walk(folder, onerror=refuse):
        place = Path(here)
        # Not what an earlier run has written.
        folders[:] = [name for name in folders if not name.startswith(".") and not _same(place / name, output)]
        files += [place / name for name in names if not name.startswith(".") and _is_photo(place / name)]
    return sorted(files)


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES and path.is_file()


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _with_own_suffix(job: Job) -> Job:
    own = job.source.suffix.lower().removeprefix(".")
    return replace(job, target=job.target.with_stem(f"{job.target.stem}_{own}"))


def _sharing_a_target(jobs: list[Job]) -> list[list[Job]]:
    """Groups of two or more; names that differ in case alone are one file on some disks."""
    by_target: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_target[str(job.target).casefold()].append(job)
    return [alike for alike in by_target.values() if len(alike) > 1]
