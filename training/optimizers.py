"""Optimisers and their options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.optim import Optimizer

from utils.options import Section

Decay = Annotated[float, Field(ge=0, lt=1)]
MOST = 1e20
"""Of rates: Adam divides its own by 1 − β, 1e-16 at least, and torch gives up where a factor is beyond float32."""


class OptimizerOptions(Section):
    """Adam as in all three papers, AdamW or SGD."""

    type: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(gt=0, le=MOST)
    """Base learning rate; the schedule multiplies it."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Decays of Adam's and AdamW's averages of the gradient and of its square, each in [0, 1)."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """SGD's momentum."""
    weight_decay: float = Field(default=0.0, ge=0, le=1e38)
    """L2 penalty (Adam, SGD) or decoupled decay (AdamW)."""

    @model_validator(mode="after")
    def _within_float32(self) -> OptimizerOptions:
        if self.type == "adamw" and self.lr * self.weight_decay > 1e38:
            raise ValueError("lr × weight_decay is beyond float32; lower one of them")
        return self


def build_optimizer(options: OptimizerOptions, parameters: Iterable[nn.Parameter], *, fused: bool) -> Optimizer:
    """The optimiser over the parameters that are to be trained."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    common = {"lr": options.lr, "weight_decay": options.weight_decay, "fused": fused}
    if options.type == "sgd":
        return torch.optim.SGD(trained, momentum=options.momentum, **common)
    kind = torch.optim.Adam if options.type == "adam" else torch.optim.AdamW
    return kind(trained, betas=options.betas, **common)


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """The same learning rate for all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr
