"""How fast and how large training is: the papers' own sizes on CUDA, small ones on a CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import torch

from benchmarks.accept.machine import PeakMemory, free_memory, fresh_runtime, per_second, precisions
from benchmarks.accept.results import Row, too_large
from benchmarks.accept.step import Context
from benchmarks.accept.throughput.workloads import GFLOPS, Workload, eager, workloads

BASE = "eager fp32"
EVERYTHING = {"precision": "bf16", "channels_last": True, "compile": True}
# In the order of what one wants to know first; compiling takes minutes and comes last.
WAYS: dict[str, dict[str, Any]] = {
    BASE: {},
    "bf16, channels_last": {"precision": "bf16", "channels_last": True},
    "TF32, channels_last": {"tf32": True, "channels_last": True},
    "TF32": {"tf32": True},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "channels_last": {"channels_last": True},
    "compile": {"compile": True},
    "all": EVERYTHING,
}


def ways_here(context: Context) -> dict[str, dict[str, Any]]:
    """Those that the device can do."""
    possible = precisions(context.device)

    def can(way: dict[str, Any]) -> bool:
        precision = way.get("precision", "fp32")
        return precision in possible and (not way.get("tf32") or "TF32" in possible)

    return {name: way for name, way in WAYS.items() if can(way)}


def training_speed(context: Context) -> Iterator[Row]:
    """Images a second, TFLOP/s and their share of the matrix product's, peak memory and --check's estimate of it."""
    peak = {row["case"].rpartition(", ")[2]: row["values"]["TFLOP/s"] for row in context.earlier
            if row["step"] == "peaks" and row["case"].startswith("matrix")}  # fmt: skip
    made, ways = workloads(context.shared, context.full), ways_here(context)
    first: dict[str, _First] = {}
    pace = 0.0  # seconds for an operation, of the workload that was quickest at it
    for number, (name, way) in enumerate(ways.items()):
        unrun, compiling = [], 0.0
        for place, workload in enumerate(made):
            title = workload.title
            # The first compiled one tells how long that takes; until then, ten times as long as eager ones is expected.
            operations = first[title].operations if title in first else _operations(workload, context.full)
            expected = first[title].seconds if title in first else pace * operations
            if way.get("compile"):
                expected = compiling or 10 * expected
            if expected > context.left():
                unrun.append(title)
                continue
            start = time.monotonic()
            try:
                measurements = (len(ways) - number) * len(made) - place
                rate, memory = measured(workload, way, context.device, max(0.2, 0.3 * context.left() / measurements))
                if title not in first:
                    pace = min(pace or inf, (time.monotonic() - start) / operations)
                    estimate = round(workload.estimated_bytes() / 2**20)
                    first[title] = _First(name, operations, estimate, rate, time.monotonic() - start)
            except torch.OutOfMemoryError:
                yield too_large(f"{title}: {name}")
                continue
            except Exception as error:  # one way that cannot be (a compiler, memory) is not the end of the others
                note = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                yield Row(f"{title}: {name}", verdict="failed", note=note)
                continue
            finally:
                free_memory(context.device)
            if way.get("compile"):
                torch.compiler.reset()
                compiling = max(compiling, time.monotonic() - start)
            speed = first[title].operations * rate / 1e12
            kind = way.get("precision", "TF32" if way.get("tf32") else "fp32")
            yield Row(f"{title}: {name}", {
                "images/s": rate * workload.stage.batch_size,
                "to eager fp32": rate / first[title].rate if first[title].way == BASE else None,
                "TFLOP/s": speed,
                "of the peak, %": 100 * speed / peak[kind] if kind in peak else None,
                "peak MiB": memory,
                "estimated MiB": first[title].estimate,
            })  # fmt: skip
        if unrun:
            which = "any of them" if len(unrun) == len(made) else "; ".join(unrun)
            yield Row(name, verdict="not run", note=f"no time was left for {which}")


def _operations(workload: Workload, full: bool) -> float:
    return 1e9 * GFLOPS[workload.title] if full else workload.operations()


@dataclass(frozen=True)
class _First:
    """What the first way that was possible, eager float32 where memory allows it, found of a workload."""

    way: str
    operations: float
    estimate: int
    rate: float
    seconds: float


def measured(workload: Workload, way: dict[str, Any], device: torch.device, seconds: float) -> tuple[float, int | None]:
    """Iterations a second, and peak memory in MiB."""
    memory = PeakMemory(device)
    recipe, batch = workload.make(fresh_runtime(eager(device, **way)))
    rate = per_second(lambda: recipe.iteration([batch]), device, seconds)
    return rate, memory.mebibytes()
