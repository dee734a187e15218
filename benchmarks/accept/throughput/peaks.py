"""What the device can do at best, measured in the same run as what training reaches of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.accept.machine import DTYPES, computing_in, free_memory, per_second, precisions
from benchmarks.accept.results import Row
from benchmarks.accept.step import Context


def peaks(context: Context) -> Iterator[Row]:
    """What the device can do at best: a large matrix product, and a copy (bytes read and written)."""
    side, seconds = (8192 if context.full else 512), context.seconds / 8
    for precision in precisions(context.device):
        a, b = (torch.rand(side, side, device=context.device) for _ in range(2))
        if precision in DTYPES:
            a, b = a.to(DTYPES[precision]), b.to(DTYPES[precision])
        with computing_in(precision, context.device):
            rate = per_second(partial(torch.matmul, a, b), context.device, seconds)
        yield Row(f"matrix product {side}², {precision}", {"TFLOP/s": 2 * side**3 * rate / 1e12, "GB/s": None})
    source = torch.rand((1 << 28) if context.full else (1 << 23), device=context.device)
    target = torch.empty_like(source)
    rate = per_second(lambda: target.copy_(source), context.device, seconds)
    yield Row("copy", {"TFLOP/s": None, "GB/s": 2 * source.nbytes * rate / 1e9})
    free_memory(context.device)
