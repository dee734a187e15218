"""YAML files to typed options: nothing unknown, untyped or unsafe gets through.

    options = load("options/cisrnet/x2.yml", TrainOptions, ["stages.0.iterations=10"])

A file may name another under `base:` (a path relative to itself): mappings are merged key by key, everything
else is replaced. Overrides are applied last. Each value remembers the file and line it came from, so that a mistake is
reported where it was made.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from utils.errors import UserError

MAX_NODES = 100_000  # of one YAML file, aliases expanded: far above any real file, far below a "billion laughs"
COMMAND_LINE = "command line"


class OptionsError(UserError):
    """An options file or override that cannot be used; the text names file, line and dotted key."""


class Section(BaseModel):
    """Base of every typed section: unknown keys refused, no silent conversion, immutable; `~/` is the home folder.

    A string under a field is its description and goes into docs/options.md.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _paths_from_home(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(_from_home, value))
        return _from_home(value)


def _from_home(value: Any) -> Any:
    return value.expanduser() if isinstance(value, Path) and value.parts[:1] == ("~",) else value


Options = TypeVar("Options", bound=BaseModel)
Origins = dict[tuple, str]  # path of keys -> "file:line"


class _Loader(yaml.SafeLoader):
    """Safe YAML with the scalars of YAML 1.2: `1e-4` is a number; `no`, `on` and dates are text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in [
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+0123456789."),
]:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def load(path: str | Path, type_: type[Options], overrides: list[str] | tuple[str, ...] = ()) -> Options:
    """Read `path` (and its bases), apply `dotted.key=value` overrides, validate against `type_`.

    Raises:
        OptionsError: unreadable file, bad YAML, unknown key, wrong type or an impossible combination.
    """
    data, origins = read_with_bases(Path(path))
    apply_overrides(data, origins, overrides)
    return validate(data, type_, str(path), origins)


def validate(data: dict, type_: type[Options], where: str, origins: Origins | None = None) -> Options:
    """Plain data (as YAML or JSON give it) to `type_`; `where` names the source in errors."""
    try:
        # JSON mode: strict, yet a list may become a tuple and a string a Path.
        return type_.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise OptionsError(_explain(error, data, type_, where, origins or {})) from None


def apply_overrides(data: dict, origins: Origins, overrides: list[str] | tuple[str, ...]) -> None:
    """Set `dotted.key=value` in plain data, in place; the values are read as YAML."""
    for override in overrides:
        _apply_override(data, origins, override)


def to_yaml(options: BaseModel) -> str:
    """Resolved options as YAML that `load` reads back."""
    return yaml.safe_dump(options.model_dump(mode="json"), sort_keys=False, width=110, allow_unicode=True)


def differences(before: str, after: str) -> list[str]:
    """What differs between two texts of `to_yaml`, a line per dotted key."""
    flat = [_flat(yaml.safe_load(text)) for text in (before, after)]
    keys = dict.fromkeys([*flat[0], *flat[1]])
    shown = [[repr(values[key]) if key in values else "not there" for values in flat] for key in keys]
    return [f"{key}: {old} → {new}" for key, (old, new) in zip(keys, shown) if old != new]


def _flat(value: Any, path: tuple = ()) -> dict[str, Any]:
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for part, inner in items for key, leaf in _flat(inner, (*path, part)).items()}
    return {dotted(path): value}


def read_with_bases(path: Path, _seen: tuple[Path, ...] = ()) -> tuple[dict, Origins]:
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
    _merge(merged, data, (), merged_origins, origins)
    return merged, merged_origins


def _read_yaml(path: Path) -> tuple[dict, Origins]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OptionsError(f"{path}: no such options file; the shipped ones are under options/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: cannot be read: {error}") from None
    return _parse_yaml(text, str(path))


def _parse_yaml(text: str, where: str) -> tuple[dict, Origins]:
    origins: Origins = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = {} if node is None else _build(loader, node, (), where, origins, [])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not valid YAML"
        raise OptionsError(f"{where}{line}: not valid YAML: {problem}") from None
    except (RecursionError, ValueError) as error:
        raise OptionsError(f"{where}: not usable YAML: {error}") from None
    if not isinstance(data, dict):
        raise OptionsError(f"{where}: expected 'key: value' lines at the top, got {type(data).__name__}")
    return data, origins


def _build(loader: _Loader, node: yaml.Node, path: tuple, where: str, origins: Origins, count: list) -> Any:
    """A YAML node as plain data; duplicate keys, odd keys and tags are refused."""
    here = f"{where}:{node.start_mark.line + 1}"
    count.append(None)
    if len(count) > MAX_NODES:
        raise OptionsError(f"{here}: more than {MAX_NODES} values (aliases counted); not an options file")
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True) if key_node.value != "<<" else "<<"
            line = f"{where}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str) or key == "<<":
                raise OptionsError(f"{line}: {dotted((*path, key))}: keys are plain text; use 'base:' to inherit")
            if key in result:
                raise OptionsError(f"{line}: {dotted((*path, key))}: this key stands here twice; keep one")
            origins[(*path, key)] = line
            result[key] = _build(loader, value_node, (*path, key), where, origins, count)
        return result
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            origins[(*path, index)] = f"{where}:{item.start_mark.line + 1}"
            items.append(_build(loader, item, (*path, index), where, origins, count))
        return items
    return loader.construct_object(node, deep=True)


def _merge(into: dict, new: dict, path: tuple, into_origins: Origins, origins: Origins) -> None:
    """`new` over `into`, in place: mappings merge unless they name another `type`, the rest is replaced."""
    for key, value in new.items():
        here = (*path, key)
        old = into.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        if both and value.get("type", old.get("type")) == old.get("type"):
            into_origins[here] = origins[here]
            _merge(old, value, here, into_origins, origins)
            continue
        into[key] = value
        for stale in [place for place in into_origins if place[: len(here)] == here]:
            del into_origins[stale]
        into_origins.update({place: line for place, line in origins.items() if place[: len(here)] == here})


def _apply_override(data: dict, origins: Origins, override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key or any(not part for part in key.split(".")):
        raise OptionsError(f"{COMMAND_LINE}: {override!r}: an override is written dotted.key=value")
    parsed, _ = _parse_yaml(f"value: {text}", f"{COMMAND_LINE}: {key}")
    target: Any = data
    path: tuple = ()
    parts = key.split(".")
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(target, list):
            if not part.isdigit() or int(part) >= len(target):
                raise OptionsError(
                    f"{COMMAND_LINE}: {key}: {dotted(path)} is a list of {len(target)}; "
                    f"expected a place from 0 to {len(target) - 1}, got {part!r}"
                )
            part = int(part)
        elif not isinstance(target, dict):
            raise OptionsError(f"{COMMAND_LINE}: {key}: {dotted(path)} is a single value and has no {part!r}")
        path = (*path, part)
        if last:
            target[part] = parsed["value"]
            for stale in [place for place in origins if place[: len(path)] == path]:
                del origins[stale]
            origins[path] = COMMAND_LINE
        else:
            if isinstance(target, dict) and target.get(part) is None:
                target[part] = {}  # a section left to its defaults; whether it exists is validated afterwards
                origins[path] = COMMAND_LINE
            target = target[part]


# ---------------------------------------------------------------------------------------------------------- errors


def dotted(path: tuple) -> str:
    """('stages', 0, 'lr') -> 'stages.0.lr'."""
    return ".".join(str(part) for part in path) or "top level"


def _explain(error: ValidationError, data: Any, type_: type[BaseModel], where: str, origins: Origins) -> str:
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


def _describe(error: dict, path: tuple, type_: type[BaseModel]) -> str:
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


def _path_in_data(loc: tuple, data: Any, kind: str) -> tuple:
    """pydantic's location without the tags of unions, which do not stand in the file."""
    path: tuple = ()
    for position, part in enumerate(loc):
        known = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int))
        if known:
            data = data[part]
            path = (*path, part)
        elif kind == "missing" and position == len(loc) - 1:
            path = (*path, part)
    return path


def _nearest(key: str, type_: type[BaseModel], loc: tuple) -> str:
    models = models_in(type_)
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        into = [
            m for model in models if part in model.model_fields for m in models_in(model.model_fields[part].annotation)
        ]
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


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside an annotation, through unions, lists and dicts."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def tags_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The values of a model's `type` key, where it is one of a tagged union."""
    field = model.model_fields.get("type")
    return get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()


def all_keys(type_: type[BaseModel], prefix: str = "") -> list[str]:
    """Every dotted key of a type; a list's items stand as `0`."""
    keys: dict[str, None] = {}
    for name, field in type_.model_fields.items():
        keys[prefix + name] = None
        is_list = any(get_origin(a) in (list, tuple) for a in (field.annotation, *get_args(field.annotation)))
        for model in models_in(field.annotation):
            keys.update(dict.fromkeys(all_keys(model, f"{prefix}{name}.{'0.' if is_list else ''}")))
    return list(keys)
