"""Runs steps one after the other in a process of their own, which is killed where a step hangs and started anew.

A hung kernel, a crash or a poisoned CUDA context then costs one step and not the rest. Steps share the process as long
as they behave: importing torch and making a CUDA context takes seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from benchmarks.accept.results import Row
from benchmarks.accept.step import Context, Step

STARTING = 60
"""Seconds that a new process may take to import torch and wake the device, within its first step's limit."""
MORE = 10
"""Seconds that a step may take beyond twice its time: what it began in time it may end."""
ASKED = 2
"""Seconds between asking processes to end and killing them."""
CLOSING = 5
"""Seconds kept back of all: killing and writing."""


@dataclass(frozen=True)
class Settings:
    """What a worker process needs."""

    device: str
    golden: Path
    log: Path


def run_steps(
    steps: Sequence[Step], settings: Settings, seconds: float, report: Callable[[Row], None], machine: Callable
) -> None:
    """Run all steps within `seconds`; `report` gets each row as it comes, `machine` what the worker says of the device.

    A step that raises, hangs or dies gives a failed row, one for which no time is left a row that says so.
    """
    end = time.monotonic() + seconds - CLOSING
    earlier: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="accept.") as folder, closing(_Worker(settings, Path(folder))) as worker:
        for position, step in enumerate(steps):
            left = end - time.monotonic()
            meant = left * step.weight / sum(later.weight for later in steps[position:])
            if left < 2:
                report(Row("all", verdict="not run", note="no time was left", step=step.name))
                continue
            more = MORE if worker.process is not None else STARTING
            limit = min((left + meant) / 2, 2 * meant + more)  # half of the later ones' time stays theirs
            started = time.monotonic()
            for row in worker.run(step, meant, limit, earlier, machine):
                row.step, row.seconds = step.name, round(time.monotonic() - started, 2)
                earlier.append(row.as_json())
                report(row)


class _Worker:
    """The process, made when a step is there for it and it is not."""

    def __init__(self, settings: Settings, folder: Path):
        self.settings, self.folder = settings, folder
        self.process: SpawnProcess | None = None
        self.pipe: Connection | None = None
        self.busy = False

    def run(self, step: Step, meant: float, limit: float, earlier: list[dict[str, Any]], machine: Callable):
        """Rows of a step as they come; the last one says so where it failed."""
        if self.process is None or self.pipe is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, self.settings, self.folder))
            self.process.start()
            theirs.close()
        end = time.monotonic() + limit
        try:
            self.busy = True
            self.pipe.send((step, meant, earlier))
            while True:
                if not self.pipe.poll(max(0.0, end - time.monotonic())):
                    self.kill()
                    note = f"did not end within {limit:.0f} s; it hangs, or --minutes is too low"
                    yield Row("all", verdict="failed", note=note)
                    return
                kind, content = self.pipe.recv()
                if kind == "machine":
                    machine(content)
                elif kind == "row":
                    yield content
                elif kind == "done":
                    self.busy = False
                    if not content:  # the device does not answer any more: a new process gets a new context
                        self.kill()
                    return
        except (EOFError, OSError):
            self.process.join(10)
            code = self.process.exitcode
            self.kill()
            died = signal.Signals(-code).name if code and code < 0 else f"status {code}"
            yield Row("all", verdict="failed", note=f"its process died ({died}); see {self.settings.log}")

    def kill(self) -> None:
        """End the process and what it has started: it leads a group of its own. torchrun, which starts its processes
        outside the group, ends them where it is asked to end.
        """
        if self.process is None or self.pipe is None:
            return
        assert self.process.pid is not None
        for how, seconds in ((signal.SIGTERM, ASKED), (signal.SIGKILL, 0)):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, how)
                time.sleep(seconds)
        self.process.kill()
        self.process.join(10)  # one that the driver holds may stay; it is left behind
        self.pipe.close()
        self.process = self.pipe = None

    def close(self) -> None:
        """Let the process end by itself: it reads that nothing more comes. In the middle of a step (Ctrl-C) end it."""
        if self.process is not None and self.pipe is not None:
            self.pipe.close()
            if not self.busy:
                self.process.join(10)
            self.kill()


def _serve(pipe: Connection, settings: Settings, folder: Path) -> None:
    """The worker: steps from the pipe, rows into it; what anything prints goes to the log."""
    started = time.monotonic()
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who kills
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before cuBLAS wakes; for `deterministic`
    log = settings.log.open("a")
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log.fileno(), stream.fileno())
    import torch

    import training.experiment  # noqa: F401 — what a training process loads, for the time that it takes
    from benchmarks.accept.machine import describe, responds

    device = torch.device(settings.device)
    pipe.send(("machine", describe(device)))
    responds(device)  # wakes it: the first step's time begins afterwards
    starting = time.monotonic() - started
    while True:
        try:
            step, seconds, earlier = pipe.recv()
        except EOFError:
            return
        own = folder / step.name
        own.mkdir(exist_ok=True)
        print(f"\n== {step.name}", flush=True)
        try:
            for row in step.run(Context(device, settings.golden, own, seconds, earlier, starting)):
                pipe.send(("row", row))
        except Exception as error:
            traceback.print_exc()
            text = " ".join(str(error).split())[:300]
            pipe.send(("row", Row("all", verdict="failed", note=f"{type(error).__name__}: {text}")))
        sys.stderr.flush()
        pipe.send(("done", responds(device)))
