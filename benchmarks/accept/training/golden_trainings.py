"""The released programs' own trainings on the device."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from benchmarks.accept.machine import free_memory, tf32
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context
from benchmarks.accept.training.golden_runs import RUNS, golden_run

LIMITS = {torch.float32: (1e-3, 1e-3), torch.float64: (1e-9, 1e-9)}
"""Of relative losses, and of weights, which move by some 1e-3. In float32 Adam's first step goes by signs: a gradient
that rounds to the other side of zero moves a weight by twice the learning rate."""


def golden_trainings(context: Context) -> Iterator[Row]:
    """The released programs' trainings of tests/golden/training, without TF32."""
    pace = 0.0
    for dtype, name in [(dtype, name) for dtype in LIMITS for name in RUNS]:
        case = f"{name}, {str(dtype).removeprefix('torch.')}"
        if pace * RUNS[name] > context.left():
            yield Row(case, verdict="not run", note="no time was left: it takes minutes here")
            continue
        start = time.monotonic()
        with tf32(False):
            found = golden_run(name, context.golden, context.folder, context.device, dtype)
        if RUNS[name] > 10:  # the first ones also load what later ones find loaded
            pace = max(pace, (time.monotonic() - start) / RUNS[name])
        losses, weights = LIMITS[dtype]
        passed = found.losses <= losses and max(found.first, found.last) <= weights
        values = {"losses": found.losses, "weights, first iteration": found.first, "weights, last": found.last}
        yield judged(case, values, passed, f"losses ≤ {losses:g}, weights ≤ {weights:g}")
        free_memory(context.device)
