"""Several processes: NCCL with one, gloo with two on one device, one for each device where there are several."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks import soak
from benchmarks.accept.results import Row, judged, no_time, not_applicable
from benchmarks.accept.step import Context
from models.checkpoints import read_state
from training.run_folder import RunFolder

ROOT = Path(__file__).parents[3]
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
ITERATIONS = 6


def one_process(context: Context) -> Iterator[Row]:
    """`train.py` under torchrun with one process (NCCL on CUDA, gloo on the CPU) against one without."""
    yield _training(context, 1) if context.room_for_processes(3) else no_time()


def two_on_one_device(context: Context) -> Iterator[Row]:
    """Two processes share the device by gloo, each with half of a batch, against one with the whole: SGD, 3 steps."""
    if not context.room_for_processes(3):
        yield no_time()
        return
    start = time.monotonic()
    script = ["-m", "benchmarks.accept.distributed.two_processes"]
    done = _run([*LAUNCH, "2", *script, context.device.type])
    if done.returncode:
        yield Row("RRDBNet", verdict="failed", note=_why(done.stderr))
        return
    apart = json.loads(done.stdout.strip().splitlines()[-1])["apart"]
    values = {"largest difference of weights": apart, "s": time.monotonic() - start}
    yield judged("RRDBNet", values, apart <= 1e-5, "≤ 0.00001")


def several_devices(context: Context) -> Iterator[Row]:
    """`train.py` with one process for each GPU, against one."""
    count = torch.cuda.device_count() if context.cuda else 0
    if count < 2:
        yield not_applicable("train.py", "there are no two GPUs")
        return
    yield _training(context, 2 if count < 4 else 4)


def _training(context: Context, processes: int) -> Row:
    """A training by SGD in that many processes, its weights beside those of one in one process."""
    photos = soak.write_photos(context.folder / "photos")
    overrides = [
        f"runtime.device={context.device.type}", "runtime.deterministic=true", "runtime.tf32=false",
        "stages.0.optimizer={type: sgd, lr: 1e-4}", "data.train.workers=0",
    ]  # fmt: skip
    plain, launched = (
        soak.experiment("supervised", context.folder / name, photos, ITERATIONS, validation={"every": 1000})
        for name in ("plain", "launched")
    )
    soak.finish(plain, *overrides)
    start = time.monotonic()
    command = [*LAUNCH, str(processes), "train.py", "--options", str(launched), *overrides]
    done = _run(command)
    case = f"train.py, {processes} process{'es' if processes > 1 else ''}"
    if done.returncode:
        return Row(case, verdict="failed", note=_why(done.stderr))
    one, other = (read_state(RunFolder(o.parent / "runs" / "supervised" / "stage0").last) for o in (plain, launched))
    apart = max(float((one[name] - other[name]).abs().max()) for name in one)
    return judged(case, {"largest difference of weights": apart, "s": time.monotonic() - start}, apart <= 1e-5,
                  "≤ 0.00001")  # fmt: skip


def _run(command: list[str]) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)  # the runner ends it


def _why(errors: str) -> str:
    """The last error that a process of torchrun's gave; torchrun's own says only that there was one."""
    print(errors, file=sys.stderr)  # into the log
    lines = [
        line for line in map(str.strip, errors.splitlines()) if re.match(r"(\[rank\d+\]: )?[\w.]*[Ee]rror: .", line)
    ]
    return lines[-1][:300] if lines else "torchrun ended with an error; see the log"
