"""Which photos a command line means, and where each restored one goes. Nothing is decoded here."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from utils.errors import UserError
from utils.images import SUFFIXES
from utils.optional_formats import OPTIONAL, REQUIREMENTS

PHOTO_SUFFIXES = (*SUFFIXES, ".gif")
"""What is taken for a photo in a folder; a file that is named by itself may be called anything."""

_NOT_READ = (
    *(".jp2", ".j2k", ".jpf", ".jpx", ".jpm", ".psd", ".svg", ".tga", ".exr", ".hdr", ".ico", ".pfm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"),
)
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"BM")


@dataclass(frozen=True)
class Job:
    """One photo and the file that its restored image becomes."""

    source: Path
    target: Path


@dataclass
class Found:
    """What a command line means.

    Attributes:
        jobs: the photos, each once, in order.
        passed_over: why files and folders were passed over, with how many there are for each reason.
        unreadable: sub-folders that cannot be looked into, a line each.
    """

    jobs: list[Job] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    def said(self) -> str:
        """One line on what was passed over, "" where nothing was."""
        if not self.passed_over:
            return ""
        return "passed over: " + "; ".join(f"{count} {why}" for why, count in sorted(self.passed_over.items()))


def find_jobs(inputs: list[str], output: Path, suffix: str) -> Found:
    """The photos of files, folders (with sub-folders, hidden ones left out) and globs.

    Sub-folders are mirrored below `output`, which itself is not searched. `a.jpg` becomes `a.png`; where two photos
    would become one file, both get their own suffix into the name: `a_jpg.png`, `a_webp.png`, and a number where
    that is not enough.

    Raises:
        UserError: an input that is not there or holds no photo, targets of photos of several folders that are one
            file, or targets that are an input.
    """
    found = Found()
    places: dict[Path, Path] = {}  # source → below output, still with its own suffix
    for text in inputs:
        pairs = _of_input(text, output, found)
        if not pairs:
            more = "".join(f"; {line}" for line in (found.said(), *found.unreadable) if line)
            raise UserError(f"{text}: no photos there ({', '.join(PHOTO_SUFFIXES)}){more}")
        for source, below in pairs:
            places.setdefault(source, below)
    sources = {source.resolve() for source in places}
    jobs = [Job(source, output / below.with_suffix(suffix)) for source, below in places.items()]
    _refuse_inputs_as_targets(jobs, sources)
    found.jobs = _apart(jobs)
    _refuse_inputs_as_targets(found.jobs, sources)
    return found


def _refuse_inputs_as_targets(jobs: list[Job], sources: set[Path]) -> None:
    for job in jobs:
        if job.target.resolve() in sources:
            raise UserError(f"{job.target}: is one of the photos to restore; give another --output")


def _of_input(text: str, output: Path, found: Found) -> list[tuple[Path, Path]]:
    """(photo, its path relative to the input), sorted; what is passed over goes to `found`."""
    path = Path(text)
    if path.is_dir():
        if _same(path, output):
            raise UserError(
                f"{output}: is the folder of the photos itself, and the next run would take its results for photos; "
                f"give another --output: {output / 'restored'}"
            )
        return [(file, file.relative_to(path)) for file in _in_folder(path, output, found)]
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
    matched = [Path(name) for name in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 — Path.glob takes no absolute ones
    results = output.resolve()
    if results != base.resolve() and results not in base.resolve().parents:
        matched = [file for file in matched if results not in file.resolve().parents]  # of an earlier run
    return [(file, file.relative_to(base)) for file in matched if not file.is_dir() and _is_photo(file, found)]


def _in_folder(folder: Path, output: Path, found: Found) -> list[Path]:
    def remember(error: OSError) -> None:
        line = f"{error.filename}: the folder cannot be read ({error.strerror})"
        if Path(error.filename) == folder:
            raise UserError(line)
        found.unreadable.append(line)

    files = []
    for here, folders, names in os.walk(folder, onerror=remember):
        place = Path(here)
        # Not what an earlier run has written.
        folders[:] = [name for name in folders if not name.startswith(".") and not _same(place / name, output)]
        found.passed_over.update(
            "linked folders: give them as inputs" for name in folders if (place / name).is_symlink()
        )
        files += [place / name for name in names if not name.startswith(".") and _is_photo(place / name, found)]
    return sorted(files)


def _is_photo(path: Path, found: Found) -> bool:
    """Whether a file is taken for a photo; if not, `found` has why."""
    suffix = path.suffix.lower()
    if path.is_file():
        if suffix in PHOTO_SUFFIXES or (not suffix and _begins_like_a_photo(path)):
            return True
        if any(suffix in suffixes for _, suffixes in OPTIONAL.values()):
            why = f"{suffix}: `pip install -r {REQUIREMENTS}` lets them be read"
        elif suffix in _NOT_READ:
            why = f"{suffix}: not read here, convert them"
        else:
            why = "files that are no photos"
    else:
        why = "links that lead nowhere" if path.is_symlink() else "pipes and devices"
    found.passed_over[why] += 1
    return False


def _begins_like_a_photo(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return False
    return head.startswith(_BEGINNINGS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP") or head[4:12] == b"ftypavif"


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _apart(jobs: list[Job]) -> list[Job]:
    """With targets that are different files, on disks too that do not tell `A` from `a`."""
    shared = {job.source for alike in _by_target(jobs).values() if len(alike) > 1 for job in alike}
    named = [_with_own_suffix(job) if job.source in shared else job for job in jobs]
    for alike in _by_target(named).values():
        if len({job.source.parent for job in alike}) > 1:
            raise UserError(
                f"{alike[0].source} and {alike[1].source} would both become {alike[0].target}: "
                "rename one, or give the folder above both"
            )
    taken = {_key(job.target) for job in named if job.source not in shared}
    apart = []
    for job in named:
        target, number = job.target, 2
        if job.source in shared:
            while _key(target) in taken:
                target = job.target.with_stem(f"{job.target.stem}_{number}")
                number += 1
            taken.add(_key(target))
        apart.append(replace(job, target=target))
    return apart


def _with_own_suffix(job: Job) -> Job:
    own = job.source.suffix.lower().removeprefix(".") or "file"
    return replace(job, target=job.target.with_stem(f"{job.target.stem}_{own}"))


def _by_target(jobs: list[Job]) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        found[_key(job.target)].append(job)
    return found


def _key(target: Path) -> str:
    """Equal for names that are one file on some disks: they differ in case, or in how an accent is composed."""
    return unicodedata.normalize("NFC", str(target)).casefold()
