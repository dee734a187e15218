"""Which file of one folder was made of which of another: by base name, whatever suffix a program has added."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ADDED = re.compile(r"[xX]\d|[^\w]|_")  # how what follows an original's name may begin: x4, _SR, -out, .restored


def by_original(made: Iterable[str], originals: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The base names in `made` by the original that each goes with, and those that go with none.

    The original of `baby_x4_SR` is the longest name that it begins with, if what follows begins with `x` and a digit
    or with no letter or digit. Originals without a partner are left out.
    """
    names = list(originals)
    found: dict[str, list[str]] = {}
    lonely = []
    for stem in made:
        fitting = [name for name in names if _is_made_of(stem, name)]
        if fitting:
            found.setdefault(max(fitting, key=len), []).append(stem)
        else:
            lonely.append(stem)
    return found, lonely


def _is_made_of(stem: str, name: str) -> bool:
    return stem == name or (stem.startswith(name) and bool(_ADDED.match(stem, len(name))))
