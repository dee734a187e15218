"""What option types hold: their sections, tags and keys."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema


class OneOf:
    """Marks the base class of a tagged union: `Annotated[Base, OneOf(models)]` takes one of `models`, by its `type`.

    A union that is put together from a table cannot be read without running it; its base class can.
    """

    def __init__(self, models: Iterable[type[BaseModel]]):
        self.models = tuple(models)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union: Any = reduce(or_, self.models)
        return handler.generate_schema(Annotated[union, Field(discriminator="type")])


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The pydantic models inside an annotation, through unions, lists and dicts."""
    if get_origin(annotation) is Annotated:
        for marker in annotation.__metadata__:
            if isinstance(marker, OneOf):
                return list(marker.models)
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
        for model in models_in(field.rebuild_annotation()):
            keys.update(dict.fromkeys(all_keys(model, f"{prefix}{name}.{'0.' if is_list else ''}")))
    return list(keys)
