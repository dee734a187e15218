"""`train.py --profile`: the time of each part of an iteration, and a trace of a few iterations."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from data.prepare import prepare_for
from training.experiment import patches, starting_generator
from training.loop.trainer import Trainer
from training.options import TrainOptions
from training.run_folder import RunFolder
from training.runtime import Runtime
from utils.errors import UserError
from utils.files import write_atomically
from utils.visible import visible

WARM_UP = 3
TRACED = 3
"""Iterations in the trace: few, as it records every operation and slows each down."""
WAIT, FORWARD, BACKWARD, OPTIMISER, REST = "data wait", "forward and losses", "backward", "optimiser", "rest"


class Clock:
    """Time between laps, by the name of the part that ended with the lap.

    On CUDA laps are events in the device's queue: only `milliseconds` waits for the device, and the time of a part is
    the time that it keeps the device, including the wait for the next command.
    """

    def __init__(self, device: torch.device):
        self.cuda = device.type == "cuda"
        self.laps: list[tuple[str, Any]] = []

    def lap(self, name: str) -> None:
        """End the part `name` now."""
        now: torch.cuda.Event | float
        if self.cuda:
            now = torch.cuda.Event(enable_timing=True)
            now.record()
        else:
            now = time.perf_counter()
        self.laps.append((name, now))

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds by name of the part; the first lap only starts the clock."""
        if self.cuda:
            torch.cuda.synchronize()
        total: dict[str, float] = {}
        for (_, start), (name, end) in zip(self.laps, self.laps[1:]):
            total[name] = total.get(name, 0.0) + (start.elapsed_time(end) if self.cuda else 1e3 * (end - start))
        return total


def profile_training(options: TrainOptions, iterations: int) -> int:
    """Profile the first stage; writes `<root>/<name>/profile/{summary.md,trace.json}` and no run folder.

    Args:
        iterations: number of timed iterations, after a warm-up; a few more are traced.

    Raises:
        UserError: there are several processes; and what training would raise.
    """
    runtime = Runtime(options.runtime)
    if runtime.ranks > 1:
        raise UserError("--profile is for one process; start train.py without torchrun")
    if iterations < 1:
        raise UserError("--profile: at least one iteration")
    stage = options.stages[0]
    stage.recipe.check()
    prepare_for(options.data.train, options.generator.scale)
    needed = WARM_UP + iterations + TRACED
    longer = stage.model_copy(update={"iterations": max(stage.iterations, needed)})
    options = options.model_copy(update={"stages": (longer, *options.stages[1:])})
    torch.manual_seed(options.seed)
    folder = options.folder / "profile"
    trainer = Trainer(options, 0, starting_generator(options), patches(options, 0), RunFolder(folder), runtime)

    def iterate(clock: Clock, times: int) -> None:
        for _ in range(times):
            with record_function(WAIT):
                micro_batches = [next(batches) for _ in range(stage.accumulate)]
            clock.lap(WAIT)
            with record_function("iteration"):
                trainer.iterate(micro_batches)
            clock.lap(REST)

    if runtime.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clock = Clock(runtime.device)
    with closing(trainer.batches()) as batches, _laps(trainer, clock):
        iterate(clock, WARM_UP)
        clock.laps = clock.laps[-1:]
        iterate(clock, iterations)
        spent = clock.milliseconds()
        memory = _peak_bytes(runtime.device)
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if clock.cuda else [])]
        with profile(activities=activities) as traced:
            iterate(clock, TRACED)
            clock.milliseconds()  # waits for the device
    text = summary(options, spent, iterations, memory, _top(traced, clock.cuda), runtime.device)
    write_atomically(folder / "summary.md", text.encode())
    _write_trace(traced, folder / "trace.json")
    print(text)
    shown = visible(folder)
    print(f"written: {shown}/summary.md, {shown}/trace.json (chrome://tracing or ui.perfetto.dev)", file=sys.stderr)
    return 0


@contextmanager
def _laps(trainer: Trainer, clock: Clock) -> Iterator[None]:
    """Add laps around the calls of a recipe: a training without profiling does not pay for them."""
    accelerator = trainer.runtime.accelerator

    def noted(call: Callable, before: str | None, after: str) -> Callable:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if before is not None:
                clock.lap(before)
            with record_function(after):
                result = call(*arguments, **named)
            clock.lap(after)
            return result

        return wrapped

    wrapped: list[tuple[Any, str, str | None, str]] = [(accelerator, "backward", FORWARD, BACKWARD)]
    # From the last backward pass on, so that clipping counts as the optimiser's.
    wrapped += [(optimizer, "step", None, OPTIMISER) for optimizer in trainer.recipe.optimizers.values()]
    for owner, method, before, after in wrapped:
        setattr(owner, method, noted(getattr(owner, method), before, after))
    try:
        yield
    finally:
        for owner, method, _, _ in wrapped:
            delattr(owner, method)  # uncovers the method of the class


def summary(
    options: TrainOptions,
    spent: dict[str, float],
    iterations: int,
    memory: int,
    top: list[tuple[str, float, int]],
    device: torch.device,
) -> str:
    """The summary in Markdown: parts of an iteration, rate, memory, slowest operations.

    Args:
        spent: milliseconds of all timed iterations, by part.
        top: name, share of the time of the traced iterations, calls per iteration.
    """
    stage, total = options.stages[0], sum(spent.values())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    lines = [
        f"# {options.name}, stage {stage.name}",
        "",
        f"{options.generator.type} ×{options.generator.scale}, batch {stage.batch_size} in {stage.accumulate} part(s), "
        f"LR patches of {options.data.train.patch_size}, {options.runtime.precision}, {name}; {iterations} iterations "
        f"after {WARM_UP} of warm-up.",
        "",
        f"- {1e3 * stage.batch_size * iterations / total:.1f} images/s, {total / iterations:.1f} ms an iteration",
        f"- peak {'of allocated device memory' if device.type == 'cuda' else 'resident memory of the process'}: "
        f"{memory / 2**20:,.0f} MiB",
        "",
        "| part | ms an iteration | share |",
        "|---|---|---|",
    ]
    for part in (WAIT, FORWARD, BACKWARD, OPTIMISER, REST):
        lines.append(f"| {part} | {spent.get(part, 0) / iterations:.2f} | {100 * spent.get(part, 0) / total:.1f} % |")
    lines += ["", f"Operations by their own time, in {TRACED} more iterations under the profiler:", ""]
    lines += ["| operation | share | calls an iteration |", "|---|---|---|"]
    lines += [f"| `{operation}` | {100 * share:.1f} % | {calls} |" for operation, share, calls in top]
    return "\n".join(lines) + "\n"


def _top(traced: profile, cuda: bool) -> list[tuple[str, float, int]]:
    regions = {WAIT, BACKWARD, OPTIMISER, "iteration"}  # and torch's own, `name#where`
    own = "self_device_time_total" if cuda else "self_cpu_time_total"
    # On CUDA both the operations that launch kernels and the kernels are listed: count the operations.
    events = [
        event
        for event in traced.key_averages()
        if event.key not in regions
        and "#" not in event.key
        and (not cuda or event.device_type == torch.autograd.DeviceType.CPU)
    ]
    total = sum(getattr(event, own) for event in events) or 1
    events.sort(key=lambda event: -getattr(event, own))
    return [(event.key, getattr(event, own) / total, round(event.count / TRACED)) for event in events[:10]]


def _write_trace(traced: profile, path: Path) -> None:
    try:
        with tempfile.TemporaryDirectory() as temporary:  # torch writes to a name and would follow a link
            traced.export_chrome_trace(f"{temporary}/trace.json")
            payload = (Path(temporary) / "trace.json").read_bytes()
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: cannot be written: {error}") from None
    write_atomically(path, payload)


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
