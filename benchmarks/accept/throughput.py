"""How fast and how large training is: the papers' own sizes on CUDA, small ones on a CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import skimage.data
import torch

from benchmarks.accept.machine import (
    DTYPES,
    PeakMemory,
    computing_in,
    free_memory,
    fresh_runtime,
    per_second,
    precisions,
    synchronize,
)
from benchmarks.accept.released_way import released_way
from benchmarks.accept.results import Row
from benchmarks.accept.step import Context
from benchmarks.accept.workloads import GFLOPS, Workload, eager, workloads
from data.datasets import PatchDataset
from data.prepare import prepare_for
from training.experiment import starting_generator
from training.loop.trainer import Trainer
from training.run_folder import RunFolder
from utils.images import write_png

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


def training(context: Context) -> Iterator[Row]:
    """Images a second, TFLOP/s and their share of the matrix product's, peak memory and --check's estimate of it."""
    peak = {row["case"].rpartition(", ")[2]: row["values"]["TFLOP/s"] for row in context.earlier
            if row["step"] == "peaks" and row["case"].startswith("matrix")}  # fmt: skip
    made, ways = workloads(context.shared, context.full), ways_here(context)
    operations: dict[str, float] = {}
    base: dict[str, float] = {}
    cases = [(workload, name) for name in ways for workload in made]
    slowest: dict[bool, float] = {}
    for number, (workload, name) in enumerate(cases):
        compiled = bool(ways[name].get("compile"))
        case = f"{workload.title}: {name}"
        # The first compiled one tells how long compiling takes; before it, ten times an eager case is expected.
        expected = slowest.get(compiled, 10 * slowest.get(False, 0.0) if compiled else 0.0)
        if expected > context.left():
            yield Row(case, verdict="not run", note="no time was left")
            continue
        start = time.monotonic()
        try:
            if workload.title not in operations:
                counted = 1e9 * GFLOPS[workload.title] if context.full else workload.operations()
                operations[workload.title] = counted
            seconds = max(0.2, 0.3 * context.left() / (len(cases) - number))
            rate, memory = _measured(workload, ways[name], context.device, seconds)
        except Exception as error:  # one way that cannot be (a compiler, memory) is not the end of the others
            yield Row(case, verdict="failed", note=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            continue
        finally:
            free_memory(context.device)
            if compiled:
                torch.compiler.reset()
        slowest[compiled] = max(slowest.get(compiled, 0.0), time.monotonic() - start)
        if name == BASE:
            base[workload.title] = rate
        speed = operations[workload.title] * rate / 1e12
        kind = ways[name].get("precision", "TF32" if ways[name].get("tf32") else "fp32")
        yield Row(case, {
            "images/s": rate * workload.stage.batch_size,
            "to eager fp32": rate / base[workload.title] if workload.title in base else None,
            "TFLOP/s": speed,
            "of the peak, %": 100 * speed / peak[kind] if kind in peak else None,
            "peak MiB": round(memory / 2**20),
            "estimated MiB": round(workload.estimated_bytes() / 2**20),
        })  # fmt: skip


def _measured(workload: Workload, way: dict[str, Any], device: torch.device, seconds: float) -> tuple[float, int]:
    """Iterations a second, and peak bytes."""
    memory = PeakMemory(device)
    recipe, batch = workload.make(fresh_runtime(eager(device, **way)))
    rate = per_second(lambda: recipe.iteration([batch]), device, seconds)
    return rate, memory.bytes()


def beside_the_released_way(context: Context) -> Iterator[Row]:
    """Our fastest way above (but compiled ones), and the released programs' way of the same iteration, by turns."""
    best: dict[str, tuple[float, str]] = {}
    for row in context.earlier:
        title, _, name = row["case"].partition(": ")
        if row["step"] == "training" and "images/s" in row["values"] and not WAYS[name].get("compile"):
            best[title] = max(best.get(title, (0.0, BASE)), (row["values"]["images/s"], name))
    made, longest = workloads(context.shared, context.full), 0.0
    for number, workload in enumerate(made):
        if longest > context.left():
            yield Row(workload.title, verdict="not run", note="no time was left")
            continue
        start = time.monotonic()
        name = best.get(workload.title, (0.0, BASE))[1]
        seconds = max(0.3, 0.3 * context.left() / (len(made) - number))
        ours, memory = _measured(workload, WAYS[name], context.device, seconds)
        free_memory(context.device)
        peak = PeakMemory(context.device)
        theirs = per_second(released_way(workload, context.device), context.device, seconds, warm_up=1)
        their_memory = peak.bytes()
        free_memory(context.device)
        batch = workload.stage.batch_size
        yield Row(workload.title, {
            "ours, images/s": ours * batch, "way": name, "as released, images/s": theirs * batch,
            "ratio": ours / theirs, "MiB": round(memory / 2**20), "as released, MiB": round(their_memory / 2**20),
        })  # fmt: skip
        longest = max(longest, time.monotonic() - start)


def loader_wait(context: Context) -> Iterator[Row]:
    """Share of the trainer's time spent waiting for patches of photographs, JPEG 10, with the loader as it is."""
    photos = context.folder / "photos"
    for name in ("astronaut", "coffee", "chelsea"):
        write_png(photos / f"{name}.png", getattr(skimage.data, name)())
    chosen = [
        workload
        for workload in workloads(context.shared, context.full)
        if workload.title in ("CISRNet ×2, coarse", "RRDBNet")
    ]
    for number, workload in enumerate(chosen):
        train = workload.options.data.train.model_copy(
            update={"hr": photos, "prepared": context.folder / "store", "compressions": ("jpeg10",)}
        )
        runtime_options = eager(context.device, **(WAYS["bf16, channels_last"] if context.cuda else {}))
        data = workload.options.data.model_copy(update={"train": train, "validation": ()})
        options = workload.options.model_copy(
            update={"data": data, "runtime": runtime_options, "root": context.folder, "stages": (workload.stage,)}
        )
        prepare_for(train, options.generator.scale, jobs=1, progress=False)
        dataset = PatchDataset(train, options.generator.scale, 0)
        runtime = fresh_runtime(runtime_options)
        trainer = Trainer(options, 0, starting_generator(options), dataset, RunFolder(context.folder / "run"), runtime)
        batches, waited = trainer.batches(), 0.0
        for _ in range(3):
            trainer.iterate([next(batches)])
        synchronize(context.device)
        start, iterations = time.perf_counter(), 0
        while iterations < 5 or time.perf_counter() - start < context.left() / (2 * (len(chosen) - number)):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            trainer.iterate([batch])
            iterations += 1
            if iterations % 10 == 0:
                synchronize(context.device)
        synchronize(context.device)
        took = time.perf_counter() - start
        batches.close()
        yield Row(workload.title, {
            "iterations": iterations, "images/s": iterations * workload.stage.batch_size / took,
            "waiting, %": 100 * waited / took,
        })  # fmt: skip
