"""Optimisers and their options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from utils.options import Section


class OptimizerOptions(Section):
    """Adam as in all three papers, AdamW or SGD."""

    type: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(gt=0)
    """Base learning rate; the schedule multiplies it."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's and AdamW's averages of the gradient and of its square."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """SGD's momentum."""
    weight_decay: float = Field(default=0.0, ge=0)
    """L2 penalty (Adam, SGD) or decoupled decay (AdamW)."""


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
