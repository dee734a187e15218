"""The base of every typed section of an options file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Section(BaseModel):
    """Base of every typed section: unknown keys refused, no silent conversion, numbers finite, immutable; `~/` is the
    home folder.

    A string under a field is its description and goes into docs/options.md.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _paths_from_home(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(_from_home, value))
        return _from_home(value)


def _from_home(value: Any) -> Any:
    return value.expanduser() if isinstance(value, Path) and value.parts[:1] == ("~",) else value
