"""`like: <name>` in an item of a list: the item takes the keys it does not give from an earlier item."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from utils.errors import OptionsError
from utils.options.sources import merge
from utils.options.yaml_text import MAX_NODES, KeyPath, Origins, dotted

LIKE = "like"


def resolve_likes(data: Any, origins: Origins) -> None:
    """Fill every item that says `like: <name>` from the earlier item of its list that has this `name`, in place.

    Sections are merged key by key, as from a `base`; each value keeps the line it came from.

    Raises:
        OptionsError: no earlier item has the name, or the copies are too many to be an options file.
    """
    copied = 0
    for path, items in list(_lists(data, ())):
        for index, item in enumerate(items):
            if isinstance(item, dict) and LIKE in item:
                here = (*path, index)
                source = _source(items, index, f"{origins[(*here, LIKE)]}: {dotted((*here, LIKE))}")
                copied += sum(1 for _ in _places(items[source]))
                if copied > MAX_NODES:
                    raise OptionsError(f"{origins[here]}: {dotted(here)}: `like` copies more than {MAX_NODES} values")
                items[index] = _filled(item, items[source], here, (*path, source), origins)


def _filled(
    item: dict[str, Any], source: dict[str, Any], path: KeyPath, source_path: KeyPath, origins: Origins
) -> dict[str, Any]:
    """An item over a copy of the one that it names; `origins` gets the lines of the result."""
    filled = deepcopy(source)
    lines = {place: origins[(*source_path, *place)] for place in _places(source)}
    own = {place: origins.pop((*path, *place)) for place in _places(item)}
    merge(filled, {key: value for key, value in item.items() if key != LIKE}, (), lines, own)
    origins.update({(*path, *place): line for place, line in lines.items()})
    return filled


def _source(items: list[Any], index: int, where: str) -> int:
    """The place of the item that item `index` names under `like`."""
    wanted = items[index][LIKE]
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    earlier = [name for name in names[:index] if isinstance(name, str)]
    if isinstance(wanted, str) and wanted in earlier:
        return names.index(wanted)
    which = f"the earlier ones are {', '.join(earlier)}" if earlier else "there is none before this one"
    if isinstance(wanted, str) and wanted in names[index:]:
        raise OptionsError(f"{where}: {wanted!r} does not come before this item; {which}")
    raise OptionsError(f"{where}: expected the name of an earlier item, got {wanted!r}; {which}")


def _lists(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, list[Any]]]:
    """The lists in plain data and their paths, inner ones first."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _lists(inner, (*path, key))
    if isinstance(value, list):
        yield path, value


def _places(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of every value below `value`, which is a section or a list."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*path, key)
            yield from _places(inner, (*path, key))
