"""Write what is made from the option types: docs/options.md, and options/schema/*.json for editors.

`python docs/build.py`; a test fails when one of them is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pydantic import BaseModel  # noqa: E402

from evaluation.options import EvaluationOptions  # noqa: E402
from training.options import TrainOptions  # noqa: E402
from utils.options.types import OneOf, models_in, tags_of  # noqa: E402

KINDS: dict[str, type[BaseModel]] = {"training": TrainOptions, "evaluation": EvaluationOptions}
"""Kinds of options files, each with a schema of its own."""

HEAD = """\
# Options

Written by `python docs/build.py` from the option types; edit those.

An options file is YAML. `base: other.yml` (a path relative to the file) inherits all keys of another file: sections
are merged key by key unless their `type` differs; lists and values are replaced. In a list of named items (`stages`,
`models`, `datasets`, …), an item can inherit from an earlier one by the same rule: `like: <name of the earlier item>`.
On the command line, `dotted.key=value` overrides a key afterwards: `stages.0.optimizer.lr=2e-4` (only in this stage),
`data.train.compressions=[jpeg10, webp20]`. Unknown keys, wrong types and impossible combinations are refused before
anything is loaded. Numbers follow YAML 1.2: `1e-4` is a number and `010` is ten; `yes`, `no`, `on` are text. On the
command line, only lists, sections and quoted texts are parsed as YAML; any other value is used literally, even a path
that contains ` #`.

Editors with a YAML language server complete and check keys: the first line of each options file names a schema in
`options/schema/`. The schema covers keys, types and descriptions; required keys and combinations are checked when the
file is loaded.
"""


def options_page() -> str:
    """The whole of docs/options.md."""
    parts = [HEAD]
    programs: dict[str, type[BaseModel]] = {
        "Training: `train.py`": TrainOptions,
        "Evaluation: `test.py`": EvaluationOptions,
    }
    for title, type_ in programs.items():
        parts.append(f"## {title}\n")
        for model in _sections(type_):
            parts.append(_table(model))
    return "\n".join(parts)


def _sections(type_: type[BaseModel], seen: dict | None = None) -> list[type[BaseModel]]:
    """A type and all section types below it, each once, in the order they are met."""
    seen = {} if seen is None else seen
    if type_ not in seen:
        seen[type_] = None
        for field in type_.model_fields.values():
            for model in models_in(field.rebuild_annotation()):
                _sections(model, seen)
    return list(seen)


def _table(model: type[BaseModel]) -> str:
    tag = tags_of(model)
    title = model.__name__.removesuffix("Options") + (f" (`type: {tag[0]}`)" if tag and len(tag) == 1 else "")
    lines = [f"### {title}", "", " ".join((model.__doc__ or "").split()), ""]
    fields = {name: field for name, field in model.model_fields.items() if not (name == "type" and len(tag) == 1)}
    if fields:
        lines += ["| key | takes | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(field.rebuild_annotation())} | {default} | {text} |")
    return "\n".join([*lines, ""])


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        many = arguments[-1] is Ellipsis
        return f"list of {_type(arguments[0])}" if many else f"list of {len(arguments)} {_type(arguments[0])}s"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__.removesuffix("Options")
    if origin is Annotated:
        union = [marker for marker in annotation.__metadata__ if isinstance(marker, OneOf)]
        return " or ".join(map(_type, union[0].models)) if union else _type(arguments[0])
    if arguments:  # a union
        return " or ".join(dict.fromkeys(_type(a) for a in arguments))
    names = {
        "int": "integer",
        "float": "number",
        "str": "text",
        "bool": "true/false",
        "Path": "path",
        "NoneType": "null",
    }
    return names.get(annotation.__name__, annotation.__name__)


def _value(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "its defaults" if not tags_of(type(value)) else f"`type: {value.model_dump()['type']}`"
    if value is None or isinstance(value, bool):
        return f"`{'null' if value is None else str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def schema(kind: str) -> dict[str, Any]:
    """JSON schema of a kind of options file: known keys with their types and texts.

    It asks for no key: one that is missing may stand in the file that `base` names, and a section may be given in part.
    What must be there, and what goes together, is checked when the file is loaded.
    """
    found = _lenient(KINDS[kind].model_json_schema())
    found["properties"]["base"] = {"type": "string", "description": "Options file to take everything else from."}
    for name in _named_items(found):
        text = "Name of an earlier item of this list to take everything else from."
        found["definitions"][name]["properties"]["like"] = {"type": "string", "description": text}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **found}


def _named_items(part: Any) -> set[str]:
    """The definitions that items of lists refer to and that have a `name`; `part` is a whole schema."""
    definitions, found = part["definitions"], set()
    for owner in (part, *definitions.values()):
        for field in owner.get("properties", {}).values():
            name = field.get("items", {}).get("$ref", "").removeprefix("#/definitions/")
            if "name" in definitions.get(name, {}).get("properties", {}):
                found.add(name)
    return found


def _lenient(part: Any) -> Any:
    """Without required keys; and one of several sections is any that fits, as `type` may be left out."""
    if isinstance(part, list):
        return [_lenient(item) for item in part]
    if not isinstance(part, dict):
        return part
    names = {"oneOf": "anyOf", "$defs": "definitions"}
    kept = {names.get(key, key): _lenient(value) for key, value in part.items()}
    if "properties" in kept:
        kept.pop("required", None)
    if "anyOf" in kept:
        kept.pop("discriminator", None)
    if isinstance(reference := kept.get("$ref"), str):
        kept["$ref"] = reference.replace("#/$defs/", "#/definitions/")
    return kept


def pages() -> dict[Path, str]:
    """Everything that is generated, by file."""
    schemas = {
        ROOT / f"options/schema/{kind}.json": json.dumps(schema(kind), indent=1, ensure_ascii=False) + "\n"
        for kind in KINDS
    }
    return {ROOT / "docs/options.md": options_page(), **schemas}


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
