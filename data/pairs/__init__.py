"""Which file of one folder was made of which of another: by base name, whatever suffix a program has added."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data.store import images_in
from utils.errors import UserError

_ADDED = re.compile(r"[xX]\d|[^\w]|_")  # how what follows an original's name may begin: x4, _SR, -out, .restored


class PairError(UserError):
    """Two folders whose files do not make pairs."""


@dataclass(frozen=True)
class FilePair:
    """An LR file and its HR file; `stem`: the base name of the latter."""

    stem: str
    lr: Path
    hr: Path


def by_original(made: Iterable[str], originals: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The base names in `made` by the original that each goes with, and those that go with none.

    The original of `baby_x4_SR` is the longest name that it begins with, if what follows begins with `x` and a digit
    or with no letter or digit. Originals without a partner are left out.
    """
    names = set(originals)
    found: dict[str, list[str]] = {}
    lonely = []
    for stem in made:
        ends = (end for end in range(len(stem), -1, -1) if end == len(stem) or _ADDED.match(stem, end))
        name = next((stem[:end] for end in ends if stem[:end] in names), None)
        if name is None:
            lonely.append(stem)
        else:
            found.setdefault(name, []).append(stem)
    return found, lonely


def by_stem(folder: Path, where: str) -> dict[str, Path]:
    """The images of a folder by base name; none is opened. `where` begins the errors.

    Raises:
        ImageError, StoreError: a folder that is missing or empty.
        PairError: two files of one base name.
    """
    paths: dict[str, Path] = {}
    for path in images_in(folder):
        if path.stem in paths:
            raise PairError(
                f"{where}: {paths[path.stem].name} and {path.name} in {folder} have the same base name; "
                "rename or remove one"
            )
        paths[path.stem] = path
    return paths


def file_pairs(lr: Path, hr: Path, where: str) -> list[FilePair]:
    """The pairs of two folders, in the order of HR's names; none is opened. `where` begins the errors.

    Raises:
        ImageError, StoreError, PairError: as `by_stem`.
        PairError: files without a partner, or two LR files of one HR file.
    """
    hr_paths, lr_paths = by_stem(hr, where), by_stem(lr, where)
    partners, lonely = by_original(lr_paths, hr_paths)
    lonely = sorted({*lonely, *(stem for stem in hr_paths if stem not in partners)})
    if lonely:
        raise PairError(
            f"{where}: {len(lonely)} files have no partner of the same base name in {lr} and {hr}: "
            f"{', '.join(lonely[:5])}{', …' if len(lonely) > 5 else ''}; rename them or move them away"
        )
    for stem, made in partners.items():
        if len(made) > 1:
            both = f"{lr_paths[made[0]]} and {lr_paths[made[1]].name}"
            raise PairError(f"{where}: {both} both go with {hr_paths[stem].name}: keep one")
    return [FilePair(stem, lr_paths[partners[stem][0]], path) for stem, path in hr_paths.items()]
