"""How far outputs are apart, in every precision that the device has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.accept.machine import computing_in, precisions
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context

FP32 = 1e-3
"""Grey levels of 255 that float32 without TF32 may be away."""
RELEASED_MASK = 1e-2
"""The same for CISR-PSI's released mask, whose denominators pass through zero: some pixels are ill-conditioned."""

Outputs = dict[str, Tensor]
"""Images on 0–255 by their names."""


def in_all_precisions(
    context: Context, case: str, network: nn.Module, forward: Callable, wanted: Outputs, tolerance: float
) -> Row:
    """Largest difference of any output in each precision; float32 is judged.

    Args:
        forward: takes the network and the device, returns outputs by the names of `wanted`.
    """
    values = {}
    for precision in precisions(context.device):
        with computing_in(precision, context.device), torch.inference_mode():
            found = {name: value.float().cpu() for name, value in forward(network, context.device).items()}
        values[precision] = max(apart(found[name], wanted[name]) for name in wanted)
    return judged(case, values, values["fp32"] <= tolerance, f"fp32 ≤ {tolerance:g}")


def apart(found: Tensor, wanted: Tensor) -> float:
    """Largest difference; of values beyond 255 in proportion. Not finite: infinite."""
    off = (found - wanted).abs() / (wanted.abs() / 255).clamp(min=1)
    return float(off.max()) if off.isfinite().all() else float("inf")


def unit(image: np.ndarray) -> Tensor:
    """uint8 h×w×3 → float 1×3×h×w in [0, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
