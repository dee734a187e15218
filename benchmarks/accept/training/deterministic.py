"""Two trainings with `runtime.deterministic: true`."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from benchmarks import soak
from benchmarks.accept.results import Row, judged, no_time_left
from benchmarks.accept.step import Context
from benchmarks.accept.training.short_runs import options_of, trainer_of


def deterministic(context: Context) -> Iterator[Row]:
    """Two trainings with `runtime.deterministic: true`, of each recipe's last stage: the same bytes."""
    longest = 0.0
    for recipe, (_, stages) in soak.EXPERIMENTS.items():
        if context.left() < longest:
            yield no_time_left(recipe)
            continue
        start = time.monotonic()
        ends = []
        for name in ("one", "other"):
            trainer = trainer_of(options_of(context, recipe, name, "runtime.deterministic=true"), len(stages) - 1)
            batches = trainer.batches()
            for _ in range(10):
                trainer.iterate([next(batches)])
            batches.close()
            ends.append({key: tensor.cpu().clone() for key, tensor in trainer.generator.state_dict().items()})
        torch.use_deterministic_algorithms(False)
        differing = sum(not torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
        values = {"tensors": len(ends[0]), "tensors that differ": differing}
        longest = max(longest, time.monotonic() - start)
        yield judged(recipe, values, differing == 0, "none differs")
