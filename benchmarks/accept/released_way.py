"""An iteration as the released programs do it, beside ours: what the recipes' speed is judged by.

Their loops are plain: networks in NCHW and float32 with torch's own defaults (cuDNN may use TF32, matrix products may
not), Adam as torch has it, not fused, every loss read back with `.item()`; CISR-PSI with the non-local operator as its
formula reads, all similarities at once, and a backward pass for the step whose weight is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from torch import nn

from benchmarks.accept.machine import fresh_runtime
from benchmarks.accept.workloads import Workload, eager
from models.nonlocal_prior import NonLocalPrior
from training.recipe import Batch, Recipe

DENSE = import_module("benchmarks.nonlocal").DensePrior  # the file's name is a keyword
"""The operator as its formula reads."""

DENSE = import_module("benchmarks.nonlocal").DensePrior  # the file's name is a keyword
"""The operator as its formula reads."""


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
            module.__class__ = DENSE


def _iterate(recipe: Recipe, batch: Batch) -> list[float]:
    return [value.item() for value in recipe.iteration([batch]).values()]
