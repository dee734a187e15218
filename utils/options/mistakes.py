"""What pydantic finds wrong with options, as one line that says where and what."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from utils.options.types import all_keys, models_in, tags_of
from utils.options.yaml_text import KeyPath, Origins, dotted


def explain(error: ValidationError, data: Any, type_: type[BaseModel], where: str, origins: Origins) -> str:
    """The first mistake of `error`, with the file and line that the value came from.

    Args:
        data: what was validated, as `type_`; `origins`: where each value of it stands.
        where: names the source of values without an origin.
    """
    first, *others = error.errors(include_url=False)
    path = _path_in_data(first["loc"], data, first["type"])
    text = _describe(first, path, type_)
    # A missing key has no line of its own: its section's is the nearest.
    origin = next((origins[path[:n]] for n in range(len(path), 0, -1) if path[:n] in origins), where)
    more = f" (and {len(others)} more)" if others else ""
    return f"{origin}: {dotted(path) + ': ' if path else ''}{text}{more}"


_JSON_WORDS = {
    "Input should be a valid array": "expected a list",
    "Input should be an object": "expected a section of `key: value` lines",
}


def _describe(error: ErrorDetails, path: KeyPath, type_: type[BaseModel]) -> str:
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        return f"unknown key; {_nearest(str(path[-1]), type_, error['loc'])}"
    if kind == "missing":
        return "this key is required and not given"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    if kind == "union_tag_invalid":
        return f"type: expected one of {error['ctx']['expected_tags']}, got {error['ctx']['tag']!r}"
    if kind == "union_tag_not_found":
        return "expected a section with a 'type'"
    message = _JSON_WORDS.get(message, message.replace("Input should be ", "expected ", 1))
    given = repr(error["input"])
    return f"{message}, got {given if len(given) <= 80 else given[:77] + '...'}"


def _path_in_data(loc: KeyPath, data: Any, kind: str) -> KeyPath:
    """pydantic's location without the tags of unions, which do not stand in the file."""
    path: KeyPath = ()
    for position, part in enumerate(loc):
        known = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int))
        if known:
            data = data[part]
            path = (*path, part)
        elif kind == "missing" and position == len(loc) - 1:
            path = (*path, part)
    return path


def _nearest(key: str, type_: type[BaseModel], loc: KeyPath) -> str:
    models = models_in(type_)
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        into = [model for field in fields for model in models_in(field.rebuild_annotation())]
        models = into or [model for model in models if part in tags_of(model)] or models
    known = sorted({name for model in models for name in model.model_fields})
    here = {name: name for name in known}
    # A key that belongs to another section is met as often as a misspelt one; of equals, the nearer is offered.
    elsewhere = {place.split(".")[-1]: place for place in reversed(all_keys(type_))}
    likeness = {name: difflib.SequenceMatcher(None, key, name).ratio() for name in {**elsewhere, **here}}
    best = max(likeness, key=lambda name: (likeness[name], name in here))
    if likeness[best] < (0.6 if best in here else 0.8):
        return f"known here: {', '.join(known)}"
    return f"did you mean {here.get(best, elsewhere.get(best))!r}?"
