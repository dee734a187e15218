"""The forward pass of a network for restoration: quantisation steps, precision, orientations, finite output."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor

from data.jpeg_files.quantisation import Steps
from models import Generator
from utils.errors import UserError

Precision = Literal["fp32", "bf16", "fp16"]


def forward(
    generator: Generator, lr: Tensor, steps: Steps, *, precision: Precision = "fp32", self_ensemble: bool = False
) -> Tensor:
    """float32 N×3×h×w in [0, 1] → float32 N×3×(h·scale)×(w·scale), not clamped.

    Args:
        lr: parts of one image.
        steps: quantisation steps of its file.
        precision: `bf16` and `fp16` run the network under autocast.
        self_ensemble: mean over the eight orientations (`ensemble_of_eight`).

    Raises:
        UserError: the output is not finite.
    """

    def network(lr: Tensor) -> Tensor:
        return run(generator, lr, steps)

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(lr.device.type, dtype) if dtype else nullcontext():
        sr = ensemble_of_eight(network, lr) if self_ensemble else network(lr).float()
    return finite(sr, precision)


def run(generator: Generator, lr: Tensor, steps: Steps) -> Tensor:
    """The generator's output for parts of one image `N×3×h×w`; one that reads quantisation steps is given them."""
    if not generator.reads_steps:
        sr: Tensor = generator(lr)
    else:
        sr = generator(lr, torch.tensor([steps], device=lr.device).expand(len(lr), -1))
    return sr


def finite(sr: Tensor, precision: Precision = "fp32") -> Tensor:
    """What a network gave, if it is finite: else there is no picture to score or to keep.

    Raises:
        UserError: NaN or an infinity in it.
    """
    if not sr.isfinite().all():
        other = {
            "fp32": "it diverged in training, or its weights are damaged: take an earlier checkpoint or other weights",
            "bf16": "try precision fp32",
            "fp16": "use precision bf16 or fp32",
        }[precision]
        raise UserError(f"the network gave numbers that are not finite in {precision}; {other}")
    return sr


def ensemble_of_eight(network: Callable[[Tensor], Tensor], lr: Tensor) -> Tensor:
    """Mean of what `network` makes of `lr` (N×3×h×w) in all eight orientations, each turned back; float32."""
    total: Tensor | None = None
    for turns in range(4):
        turned = lr.rot90(turns, (2, 3))
        for sr in (network(turned).float(), network(turned.flip(3)).float().flip(3)):
            upright = sr.rot90(-turns, (2, 3))
            total = upright if total is None else total + upright
    assert total is not None
    return total / 8
