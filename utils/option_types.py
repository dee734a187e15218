"""What option types hold: their sections, tags and keys."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel


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
