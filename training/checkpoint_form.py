"""What a training checkpoint must hold, checked before anything of it is used."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

from utils.errors import OptionsError
from utils.options.yaml_text import parse

FORMAT: Literal[1] = 1
"""Raised with every change that an older checkpoint does not fit."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Iteration = Annotated[int, Field(ge=0, lt=10**18)]


def _plain(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_quantized:
        raise ValueError("not a tensor of plain numbers in memory")
    return tensor


PlainTensor = Annotated[Tensor, AfterValidator(_plain)]
Tensors = dict[str, PlainTensor]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True)


class _Group(_Form):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, bool | Number | None]  # which of torch's settings there are depends on its version
    lr: Number
    betas: tuple[Number, Number] | None = None
    momentum: Number | None = None
    params: list[int]


class _Optimizer(_Form):
    state: dict[int, dict[str, PlainTensor | Number | None]]
    param_groups: list[_Group]


class _Random(_Form):
    cpu: PlainTensor


class _Images(_Form):
    count: int
    digest: str


class _Budget(_Form):
    minutes: Number
    elapsed: Number
    ending: Number | None
    each: Number | None = None
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


class _Stage(_Form):
    name: str
    iterations: Iteration


class _Options(_Form):
    stages: list[_Stage]


_FORM, _OPTIONS = TypeAdapter(_Checkpoint), TypeAdapter(_Options)


def misfit(state: dict[str, Any]) -> str | None:
    """What a loaded checkpoint lacks, holds in another form or contradicts itself in, in a few words; None: nothing."""
    try:
        checkpoint = _FORM.validate_python(state)
        options = _OPTIONS.validate_python(parse(checkpoint.options, "options")[0])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except OptionsError as error:
        return str(error)
    return _contradiction(checkpoint, options)


def _contradiction(checkpoint: _Checkpoint, options: _Options) -> str | None:
    iteration = checkpoint.iteration
    last = {stage.name: stage.iterations for stage in options.stages}.get(checkpoint.stage)
    if last is None:
        return f"options: without its stage {checkpoint.stage!r}"
    if checkpoint.budget is None and iteration > last:  # by the clock, no number is too large
        return f"iteration: {iteration}, its stage ends at {last}"
    if checkpoint.validated > iteration:
        return f"validated: {checkpoint.validated}, after iteration {iteration}"
    ranked = {place for _, place in checkpoint.ranking}
    fits = all(0 <= place <= iteration and place == int(place) for place in ranked)
    if len(ranked) < len(checkpoint.ranking) or not fits:
        return f"ranking: not of {len(checkpoint.ranking)} iterations up to {iteration}"
    if any(math.isnan(score) for score, _ in checkpoint.ranking):  # an image that is met exactly has an infinite PSNR
        return "ranking: a score that is not a number"
    for name, tensors in [*checkpoint.networks.items(), ("ema", checkpoint.ema or {})]:
        if (spoilt := next((key for key, tensor in tensors.items() if not tensor.isfinite().all()), None)) is not None:
            return f"{name}: {spoilt} holds numbers that are not finite"
    # fp16 leaves iterations out until its scale has settled.
    moved = bool(iteration) and not checkpoint.scaler
    wrong = ((name, _wrong(optimizer, moved)) for name, optimizer in checkpoint.optimizers.items())
    return next((f"optimizers.{name}: {what}" for name, what in wrong if what is not None), None)


def _wrong(optimizer: _Optimizer, moved: bool) -> str | None:
    groups = optimizer.param_groups
    averages = {number: _averages(group) for group in groups for number in group.params}
    if moved and not optimizer.state and any(averages.values()):
        return "no averages"
    for number, entry in optimizer.state.items():
        if number not in averages:
            return f"averages of a parameter {number} that it does not have"
        if missing := averages[number] - entry.keys():
            return f"no {min(missing)} of parameter {number}"
        if "step" in averages[number] and not _counts(entry["step"]):
            return f"the step of parameter {number} is no number of steps"
    return None


def _averages(group: _Group) -> set[str]:
    """What the optimiser keeps of each parameter: Adam's averages, a momentum, nothing."""
    if group.betas:
        return {"exp_avg", "exp_avg_sq", "step"}
    return {"momentum_buffer"} if group.momentum else set()


def _counts(step: Tensor | float | None) -> bool:
    if step is None or (isinstance(step, Tensor) and step.ndim):
        return False
    return float(step) >= 0 and float(step).is_integer()
