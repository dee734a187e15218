"""How fast and how large training is: the papers' own sizes on CUDA, small ones on a CPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
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
    first: dict[str, _First] = {}
    for number, (name, way) in enumerate(ways.items()):
        unrun, compiling = [], 0.0
        for place, workload in enumerate(made):
            title = workload.title
            # The first compiled one tells how long that takes; until then, ten times as long as eager ones is expected.
            expected = first[title].seconds if title in first else 0.0
            if way.get("compile"):
                expected = compiling or 10 * expected
            if expected > context.left():
                unrun.append(title)
                continue
            start = time.monotonic()
            try:
                measurements = (len(ways) - number) * len(made) - place
                rate, memory = _measured(workload, way, context.device, max(0.2, 0.3 * context.left() / measurements))
                if title not in first:
                    operations = 1e9 * GFLOPS[title] if context.full else workload.operations()
                    estimate = round(workload.estimated_bytes() / 2**20)
                    first[title] = _First(operations, estimate, rate, time.monotonic() - start)
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
                "to eager fp32": rate / first[title].rate,
                "TFLOP/s": speed,
                "of the peak, %": 100 * speed / peak[kind] if kind in peak else None,
                "peak MiB": memory,
                "estimated MiB": first[title].estimate,
            })  # fmt: skip
        if unrun:
            yield Row(name, verdict="not run", note=f"no time was left for {'; '.join(unrun)}")


@dataclass(frozen=True)
class _First:
    """What the first way, eager float32, found of a workload."""

    operations: float
    estimate: int
    rate: float
    seconds: float


def _measured(
    workload: Workload, way: dict[str, Any], device: torch.device, seconds: float
) -> tuple[float, int | None]:
    """Iterations a second, and peak memory in MiB."""
    memory = PeakMemory(device)
    recipe, batch = workload.make(fresh_runtime(eager(device, **way)))
    rate = per_second(lambda: recipe.iteration([batch]), device, seconds)
    return rate, memory.mebibytes()


def beside_the_released_way(context: Context) -> Iterator[Row]:
    """Our fastest way above (compiled ones left out), then the released programs' way of the same iteration."""
    best: dict[str, tuple[float, str]] = {}
    for row in context.earlier:
        title, _, name = row["case"].partition(": ")
        if row["step"] == "training_speed" and "images/s" in row["values"] and not WAYS[name].get("compile"):
            best[title] = max(best.get(title, (0.0, BASE)), (row["values"]["images/s"], name))
    made, longest = workloads(context.shared, context.full), 0.0
    for number, workload in enumerate(made):
        if longest > context.left():
            rest = "; ".join(later.title for later in made[number:])
            yield Row("the rest", verdict="not run", note=f"no time was left for {rest}")
            return
        start = time.monotonic()
        name = best.get(workload.title, (0.0, BASE))[1]
        seconds = max(0.3, 0.3 * context.left() / (len(made) - number))
        ours, memory = _measured(workload, WAYS[name], context.device, seconds)
        free_memory(context.device)
        peak = PeakMemory(context.device)
        theirs = per_second(released_way(workload, context.device), context.device, seconds, warm_up=1)
        their_memory = peak.mebibytes()
        free_memory(context.device)
        batch = workload.stage.batch_size
        yield Row(workload.title, {
            "ours, images/s": ours * batch, "way": name, "as released, images/s": theirs * batch,
            "ratio": ours / theirs, "MiB": memory, "as released, MiB": their_memory,
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
        if context.left() < number * context.seconds / 3:
            yield Row(workload.title, verdict="not run", note="no time was left")
            return
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
        trainer.iterate([next(batches)])
        synchronize(context.device)
        start, iterations = time.perf_counter(), 0
        while iterations < 2 or time.perf_counter() - start < context.left() / (2 * (len(chosen) - number)):
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
