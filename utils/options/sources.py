"""Options as plain data: a file over its chain of bases, and overrides from the command line over that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from utils.errors import OptionsError
from utils.options.yaml_text import MAX_BYTES, KeyPath, Origins, dotted, parse, parse_value

COMMAND_LINE = "command line"


def read_with_bases(path: Path, _seen: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Origins]:
    """One file merged over its chain of bases, and where each value came from."""
    resolved = path.resolve()
    if resolved in _seen:
        raise OptionsError(f"{path}: 'base' leads back to this file; remove one of the links")
    data, origins = _read_yaml(path)
    base = data.pop("base", None)
    if base is None:
        return data, origins
    if not isinstance(base, str):
        raise OptionsError(f"{origins[('base',)]}: base: expected the path of an options file, got {base!r}")
    base_path = path.parent / base
    if not base_path.is_file():
        raise OptionsError(f"{origins[('base',)]}: base: no such file: {base_path}")
    merged, merged_origins = read_with_bases(base_path, (*_seen, resolved))
    merge(merged, data, (), merged_origins, origins)
    return merged, merged_origins


def apply_overrides(data: dict[str, Any], origins: Origins, overrides: list[str] | tuple[str, ...]) -> None:
    """Set `dotted.key=value` in plain data, in place; values are read by `utils.options.yaml_text.parse_value`."""
    for override in overrides:
        _apply_override(data, origins, override)


def _read_yaml(path: Path) -> tuple[dict[str, Any], Origins]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise OptionsError(f"{path}: more than {MAX_BYTES >> 20} MiB; not an options file")
        text = content.decode("utf-8")
    except FileNotFoundError:
        raise OptionsError(f"{path}: no such options file; the shipped ones are under options/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def merge(into: dict[str, Any], new: dict[str, Any], path: KeyPath, into_origins: Origins, origins: Origins) -> None:
    """Put `new` over `into`, in place: mappings merge unless they name another `type`, the rest is replaced.

    Args:
        path: the place of both in their files.
        into_origins, origins: the line of every value of `into` and of `new`.
    """
    for key, value in new.items():
        here = (*path, key)
        old = into.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("type", old.get("type")) == old.get("type"):
            into_origins[here] = origins[here]
            merge(old, value, here, into_origins, origins)
            continue
        into[key] = value
        for stale in [place for place in into_origins if place[: len(here)] == here]:
            del into_origins[stale]
        into_origins.update({place: line for place, line in origins.items() if place[: len(here)] == here})


def _apply_override(data: dict[str, Any], origins: Origins, override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key or any(not part for part in key.split(".")):
        raise OptionsError(f"{COMMAND_LINE}: {override!r}: an override is written dotted.key=value")
    value = parse_value(text, f"{COMMAND_LINE}: {key}")
    target: Any = data
    path: KeyPath = ()
    parts = key.split(".")
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        step: str | int = part
        if isinstance(target, list):
            if not re.fullmatch("[0-9]{1,9}", part) or int(part) >= len(target):
                raise OptionsError(
                    f"{COMMAND_LINE}: {key}: {dotted(path)} is a list of {len(target)}; "
                    f"expected a place from 0 to {len(target) - 1}, got {part!r}"
                )
            step = int(part)
        elif not isinstance(target, dict):
            raise OptionsError(f"{COMMAND_LINE}: {key}: {dotted(path)} is a single value and has no {part!r}")
        path = (*path, step)
        if last:
            target[step] = value
            for stale in [place for place in origins if place[: len(path)] == path]:
                del origins[stale]
            origins[path] = COMMAND_LINE
        else:
            if isinstance(target, dict) and target.get(step) is None:
                target[step] = {}  # a section left to its defaults; whether it exists is validated afterwards
                origins[path] = COMMAND_LINE
            target = target[step]
