"""What a training checkpoint must hold, checked before anything of it is used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

FORMAT: Literal[1] = 1
"""Raised with every change that an older checkpoint does not fit."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Iteration = Annotated[int, Field(ge=0, lt=10**18)]
Tensors = dict[str, Tensor]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _Group(_Form):
    lr: Number
    params: list[int]


class _Optimizer(_Form):
    state: dict[int, dict[str, Tensor | Number | None]]
    param_groups: list[_Group]


class _Random(_Form):
    cpu: Tensor


class _Images(_Form):
    count: int
    digest: str


class _Budget(_Form):
    minutes: Number
    elapsed: Number
    ending: Number | None
    place: Iteration


class _Checkpoint(_Form):
    format: Literal[1]
    stage: str
    iteration: Iteration
    networks: dict[str, Tensors]
    optimizers: dict[str, _Optimizer]
    ema: Tensors | None
    scaler: dict[str, Any] | None
    random: _Random
    ranking: list[Annotated[list[float], Field(min_length=2, max_length=2)]]
    validated: Iteration = 0
    ranked_by: str = ""
    images: _Images | None = None
    options: str
    budget: _Budget | None = None


_FORM = TypeAdapter(_Checkpoint)


def misfit(state: dict[str, Any]) -> str | None:
    """What a loaded checkpoint lacks or holds in another form, in a few words; None if all is as a resume needs it."""
    try:
        _FORM.validate_python(state)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None
