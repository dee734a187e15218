"""What a user meets when a training fails."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.accept.machine import free_memory
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context
from benchmarks.accept.training.short_runs import options_of, trainer_of
from training.loop.trainer import Trainer
from utils.errors import UserError


def faults(context: Context) -> Iterator[Row]:
    """What a user meets when the loss is not finite, or memory is not enough: one line that helps."""
    spoilt = "stages.0.optimizer={type: sgd, lr: 1e20}"
    said = _fault(trainer_of(options_of(context, "supervised", "nan", spoilt, "stages.0.clip_grad_norm=null")))
    yield judged("a loss that is not finite", {"said": said[:220]}, "not finite at iteration" in said, "stops, says so")
    options = options_of(
        context, "supervised", "memory", "stages.0.batch_size=256", "data.train.patch_size=40", iterations=2
    )
    trainer = trainer_of(options)
    with _little_memory(context.device):
        said = _fault(trainer)
    free_memory(context.device)
    helps = "out of memory; raise accumulate" in said
    yield judged("too little memory", {"said": said[:220]}, helps, "says what to lower")


def _fault(trainer: Trainer) -> str:
    try:
        trainer.run()
    except UserError as error:
        return str(error)
    return "nothing: it ran to its end"


@contextmanager
def _little_memory(device: torch.device) -> Iterator[None]:
    """Memory capped a little above what is in use now."""
    more = 64 << 20
    if device.type == "cuda":
        free_memory(device)
        number = torch.cuda.current_device()
        share = (torch.cuda.memory_reserved(number) + more) / torch.cuda.get_device_properties(number).total_memory
        torch.cuda.set_per_process_memory_fraction(share, number)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, number)
        return
    used = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * more, before[1]))  # addresses: stacks and arenas among them
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
