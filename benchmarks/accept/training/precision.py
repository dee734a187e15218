"""Lower precision, another layout, a compiled step: does training do what eager float32 does?"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from benchmarks import soak
from benchmarks.accept.machine import precisions
from benchmarks.accept.results import Row, no_time_left
from benchmarks.accept.step import Context
from benchmarks.accept.training.short_runs import close, mean_loss


def precision_of_training(context: Context) -> Iterator[Row]:
    """Mean loss at the end of a short training against eager float32 on the same device."""
    variants = {
        "TF32": {"tf32": "true"},
        "channels_last": {"channels_last": "true"},
        "bf16": {"precision": "bf16"},
        "fp16 with a scaler": {"precision": "fp16"},
    }
    possible, longest = precisions(context.device), 0.0
    if not context.cuda:
        del variants["TF32"], variants["fp16 with a scaler"]
    elif "bf16" not in possible:
        del variants["bf16"]
    for recipe, (_, recipes) in soak.EXPERIMENTS.items():
        for stage in range(len(recipes)):
            title = f"{recipe}, stage {stage}" if len(recipes) > 1 else recipe
            if context.left() < longest:
                yield no_time_left(title)
                continue
            start = time.monotonic()
            reference = mean_loss(context, recipe, stage, {})
            for variant, runtime in variants.items():
                yield close(f"{title}: {variant}", mean_loss(context, recipe, stage, runtime), reference)
            longest = max(longest, time.monotonic() - start)


def compiled_training(context: Context) -> Iterator[Row]:
    """The same with `runtime.compile`, of each recipe's last stage: alone, and on CUDA with bf16 and channels_last."""
    everything = {"compile": "true", "precision": "bf16", "channels_last": "true"}
    variants = {"compile": {"compile": "true"}, **({"all together": everything} if context.cuda else {})}
    longest = context.starting  # compiling takes longer than it takes to import torch
    for recipe, (_, stages) in soak.EXPERIMENTS.items():
        if not context.cuda and recipe != "supervised":
            continue
        reference, last = None, len(stages) - 1
        for variant, runtime in variants.items():
            if context.left() < longest:
                yield no_time_left(f"{recipe}: {variant}")
                continue
            start = time.monotonic()
            reference = mean_loss(context, recipe, last, {}) if reference is None else reference
            row = close(f"{recipe}: {variant}", mean_loss(context, recipe, last, runtime), reference)
            longest = max(longest, time.monotonic() - start)
            row.values["seconds, compiling included"] = time.monotonic() - start
            yield row
        torch.compiler.reset()
