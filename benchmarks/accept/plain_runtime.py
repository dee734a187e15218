"""What a recipe uses of `Runtime`, on one device: nothing is wrapped, nothing cast."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import torch
from torch import Tensor, nn


class PlainRuntime:
    """One device (`meta` too: then operations can be counted without computing them)."""

    fused, ranks, layout = False, 1, torch.contiguous_format

    def __init__(self, device: torch.device):
        self.device = device
        self.accelerator = SimpleNamespace(
            backward=lambda loss: loss.backward(),
            no_sync=lambda step: nullcontext(),
            unscale_gradients=lambda optimizer: None,
        )

    def place(self, module: nn.Module) -> nn.Module:
        return module.to(self.device)

    def prepare(self, step: nn.Module, optimizer: torch.optim.Optimizer) -> tuple:
        return step, optimizer

    def mean(self, value: Tensor) -> Tensor:
        return value
