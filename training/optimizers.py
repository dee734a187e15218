"""Optimisers from options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from training.options import OptimizerOptions


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
