"""An iteration as the released programs do it, beside ours: what the recipes' speed is judged by.

Their loops are plain: networks in NCHW and float32 with torch's own defaults (cuDNN may use TF32, matrix products may
not; cuDNN's search for the fastest convolution is on, as in ours), Adam as torch has it, not fused, every loss read
back with `.item()`; CISR-PSI with the non-local operator as its formula reads, all similarities at once, and a backward
pass for the step whose weight is 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from benchmarks.accept.machine import PeakMemory, free_memory, fresh_runtime, per_second
from benchmarks.accept.results import Row, too_large
from benchmarks.accept.step import Context
from benchmarks.accept.throughput.training_speed import BASE, WAYS, measured
from benchmarks.accept.throughput.workloads import Workload, eager, workloads
from benchmarks.nonlocal_prior import DensePrior
from models.nonlocal_prior import NonLocalPrior
from training.recipes.base import Batch, Recipe


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
        try:
            ours, memory = measured(workload, WAYS[name], context.device, seconds)
            theirs, their_memory = _measured_as_released(workload, context.device, seconds)
        except torch.OutOfMemoryError:
            yield too_large(workload.title)
            continue
        finally:
            free_memory(context.device)
        batch = workload.stage.batch_size
        yield Row(workload.title, {
            "ours, images/s": ours * batch, "way": name, "as released, images/s": theirs * batch,
            "ratio": ours / theirs, "MiB": memory, "as released, MiB": their_memory,
        })  # fmt: skip
        longest = max(longest, time.monotonic() - start)


def _measured_as_released(workload: Workload, device: torch.device, seconds: float) -> tuple[float, int | None]:
    memory = PeakMemory(device)
    rate = per_second(released_way(workload, device), device, seconds, warm_up=1)
    return rate, memory.mebibytes()


def released_way(workload: Workload, device: torch.device) -> Callable[[], object]:
    """One iteration of the workload done their way, to be called again and again."""
    stage = workload.stage
    if stage.recipe.type == "unfolding":
        recipe_options = stage.recipe.model_copy(update={"schedule": "released"})
        stage = stage.model_copy(update={"recipe": recipe_options})
        stages = list(workload.options.stages)
        stages[workload.position] = stage
        options = workload.options.model_copy(update={"stages": tuple(stages)})
        workload = Workload(workload.title, options, workload.position)
    recipe, batch = workload.make(fresh_runtime(eager(device, fused=False)))
    torch.backends.cudnn.allow_tf32 = True  # torch's default, which the released programs leave
    for network in recipe.networks.values():
        with_dense_operator(network)
    return lambda: _iterate(recipe, batch)


def with_dense_operator(network: nn.Module) -> None:
    """Every non-local operator of a network as the dense form of the same weights, in place."""
    for module in network.modules():
        if type(module) is NonLocalPrior:
            module.__class__ = DensePrior


def _iterate(recipe: Recipe, batch: Batch) -> list[float]:
    return [value.item() for value in recipe.iteration([batch]).values()]
