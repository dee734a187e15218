"""YAML files to typed options: nothing unknown, untyped or unsafe gets through.

    options = load("options/cisrnet/x2.yml", TrainOptions, ["stages.0.iterations=10"])

A file may name another under `base:` (a path relative to itself): mappings are merged key by key, everything
else is replaced. An item of a list may say `like: <name of an earlier item>`, with the same rule. Overrides are applied
last. Each value remembers the file and line it came from, so that a mistake is reported where it was made.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from utils.errors import OptionsError
from utils.options.like import resolve_likes
from utils.options.mistakes import explain
from utils.options.sources import apply_overrides, read_with_bases
from utils.options.yaml_text import KeyPath, Origins, checked, dotted, parse, to_text

Options = TypeVar("Options", bound=BaseModel)


def load(path: str | Path, type_: type[Options], overrides: list[str] | tuple[str, ...] = ()) -> Options:
    """Read `path` (and its bases), resolve `like`, apply `dotted.key=value` overrides, validate against `type_`.

    Raises:
        OptionsError: unreadable file, bad YAML, unknown key, wrong type or an impossible combination.
    """
    data, origins = read_with_bases(Path(path))
    resolve_likes(data, origins)
    apply_overrides(data, origins, overrides)
    return validate(data, type_, str(path), origins)


def validate(data: dict[str, Any], type_: type[Options], where: str, origins: Origins | None = None) -> Options:
    """Plain data (as YAML or JSON give it) to `type_`; `where` names the source in errors.

    Raises:
        OptionsError: as `load`.
    """
    for key, value in _flat(data).items():
        if isinstance(value, str):
            checked(value, f"{where}: {key}")
    try:
        # JSON mode: strict, yet a list may become a tuple and a string a Path.
        return type_.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise OptionsError(explain(error, data, type_, where, origins or {})) from None


def to_yaml(options: BaseModel) -> str:
    """Resolved options as YAML that `load` reads back."""
    return to_text(options.model_dump(mode="json"))


def differences(before: str, after: str) -> list[str]:
    """What differs between two texts of `to_yaml`, a line per dotted key.

    Raises:
        OptionsError: `before` comes from a checkpoint, which may hold anything, and is not options.
    """
    flat = [_flat(parse(text, "the options in the checkpoint")[0]) for text in (before, after)]
    keys = dict.fromkeys([*flat[0], *flat[1]])
    shown = [[repr(values[key]) if key in values else "not there" for values in flat] for key in keys]
    return [f"{key}: {old} → {new}" for key, (old, new) in zip(keys, shown) if old != new]


def _flat(value: Any, path: KeyPath = ()) -> dict[str, Any]:
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for part, inner in items for key, leaf in _flat(inner, (*path, part)).items()}
    return {dotted(path): value}
