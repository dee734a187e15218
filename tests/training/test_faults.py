"""What goes wrong around a training ends it with one line: memory, disk, loader processes, files of the store."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.soak import ROOT, experiment, finish, start, write_photos
from data.prepare import prepare_for
from training.experiment import run_experiment
from training.faults import explain
from training.options import TrainOptions
from training.run_folder import RunFolder, read_checkpoint
from training.trainer import Trainer
from utils.errors import UserError
from utils.options import load

# `train.py` with a limit set once everything is imported, which takes memory of its own.
LIMITED = """
import re, resource, sys
import torch, torch._dynamo, training.experiment, torch.utils.tensorboard, train
from utils.cli import run
size = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1])
kind, more = sys.argv.pop(1), int(sys.argv.pop(1))
resource.setrlimit(getattr(resource, kind), (size * (kind == "RLIMIT_AS") + more,) * 2)
sys.exit(run(train.main, train.mistakes))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("faults") / "photos")


def stage(options):
    return RunFolder(options.parent / "runs" / options.stem / "stage0")


def last_line(errors):
    assert "Traceback" not in errors, errors
    return errors.strip().splitlines()[-1]


def limited(kind, more, options, *overrides):
    command = [sys.executable, "-c", LIMITED, kind, str(more), "--options", str(options), *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    return last_line(done.stderr)


def test_out_of_memory_says_what_to_change(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 4, validation={"every": 100})
    overrides = ["data.train.workers=0", "stages.0.batch_size=256", "generator.num_feat=64"]
    line = limited("RLIMIT_AS", 200 << 20, options, *overrides)
    assert line.startswith("error: stage 'stage0', iteration 1: out of memory; raise accumulate"), line
    assert "data.train.patch_size" in line and "no checkpoint was saved yet" in line


def test_a_disk_that_is_full_is_named_and_the_last_checkpoint_too(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 2, validation={"every": 100})
    finish(options)
    size = stage(options).checkpoint(2).stat().st_size
    line = limited("RLIMIT_FSIZE", size - 1000, options, "--resume", "auto", "stages.0.iterations=4")
    assert "00000003.pt: cannot be written: File too large" in line
    assert read_checkpoint(stage(options).checkpoint(2))["iteration"] == 2


@pytest.mark.parametrize("fault", ["killed", "cut short while it is mapped"])
def test_a_loader_process_that_dies(photos, tmp_path, fault):
    options = experiment("supervised", tmp_path / "a", photos, 100_000, checkpoint={"every": 2}, log_every=1)
    process = start(options, f"data.train.prepared={tmp_path / 'store'}")
    log = stage(options).folder / "train.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "iteration 8" in log.read_text()) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    if fault == "killed":
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    else:
        for path in (tmp_path / "store").rglob("*.npy"):
            os.truncate(path, 0)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2, errors
    line = last_line(errors)
    # How it died is only known where its end is met by the signal's handler, not by a wait for its batch.
    how = "Killed" if fault == "killed" else "Bus error"
    assert "data.train.workers" in line
    assert "a loader process died: " in line or f"a loader process died ({how}): " in line
    assert f"the last good checkpoint is {stage(options).checkpoint(stage(options).iterations()[-1])}" in line


def running_with_a_worker_that_hangs(options, stalled_s):
    """A training whose loader process was stopped after some iterations."""
    code = (
        "import sys, train, training.batches; from utils.cli import run\n"
        "training.batches.STALLED_S = float(sys.argv.pop(1)); sys.exit(run(train.main, train.mistakes))"
    )
    command = [sys.executable, "-c", code, str(stalled_s), "--options", str(options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    log = stage(options).folder / "train.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "iteration 3" in log.read_text()) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():  # multiprocessing's own
            os.kill(int(child), signal.SIGSTOP)
    return process


def test_a_loader_that_hangs_ends_the_training_with_a_line(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 100_000, checkpoint={"every": 2}, log_every=1)
    process = running_with_a_worker_that_hangs(options, 2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    line = last_line(errors)
    assert "a loader process died or hangs (no batch came for 2 s): main or shared memory ran out" in line
    assert f"the last good checkpoint is {stage(options).checkpoint(stage(options).iterations()[-1])}" in line


def test_a_training_that_waits_for_data_can_be_stopped_and_goes_on(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 100_000, checkpoint={"every": 100_000}, log_every=1)
    process = running_with_a_worker_that_hangs(options, 1000)
    time.sleep(1)  # the batches that were ahead are used up
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    (iteration,) = stage(options).iterations()
    assert f"stopped by SIGINT after iteration {iteration}, saved" in last_line(errors)
    finish(options, "--resume", "auto", f"stages.0.iterations={iteration + 2}")


def test_batches_that_do_not_fit_into_shared_memory_end_the_training_with_a_line(photos, tmp_path):
    """A limit on the size of files holds in /dev/shm as well."""
    options = experiment("supervised", tmp_path / "a", photos, 4, batch_size=32)
    prepare_for(load(options, TrainOptions).data.train, 2, progress=False)
    line = limited("RLIMIT_FSIZE", 64 << 10, options)
    assert "iteration 1: a loader process died (its batch does not fit into shared memory, /dev/shm)" in line


def test_a_file_of_the_store_that_is_damaged_is_named_and_made_again(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    store = f"data.train.prepared={tmp_path / 'store'}"
    finish(options, store)
    damaged = sorted((tmp_path / "store" / "hr").rglob("*.npy"))
    for path in damaged:
        os.truncate(path, path.stat().st_size // 2)
    process = start(options, store, "--resume", "auto", "stages.0.iterations=4")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert all(f"{path}: missing, cut short or altered; made again" in errors for path in damaged)


def test_only_faults_of_the_surroundings_are_explained(photos, tmp_path):
    options = load(experiment("adversarial", tmp_path / "a", photos, 4), TrainOptions)
    assert "generator.checkpointing" in explain(torch.OutOfMemoryError("CUDA out of memory."), options)
    full = OSError(28, "No space left on device")
    assert explain(full, options) == f"{options.folder}: No space left on device"
    assert explain(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), options) is None
    assert explain(RuntimeError("Caught KeyError in DataLoader worker process 0."), options) is None


def test_the_norm_of_gradients_is_logged_with_and_without_clipping(photos, tmp_path):
    norms = []
    for clip in (None, 1e9):
        options = experiment("adversarial", tmp_path / str(clip), photos, 2, clip_grad_norm=clip, log_every=1)
        finish(options, "data.train.workers=0")
        lines = (stage(options).folder / "train.log").read_text().splitlines()
        (line,) = [line for line in lines if "iteration 1: " in line and "loss" in line]
        values = dict(part.split() for part in line.partition("iteration 1: ")[2].split(", "))
        norms.append([float(values["grad_norm"]), float(values["grad_norm_d"])])
    assert norms[0] == pytest.approx(norms[1], rel=1e-4) and min(norms[0]) > 0


def test_a_log_that_cannot_be_opened_is_named(photos, tmp_path):
    options = load(experiment("supervised", tmp_path / "a", photos, 1), TrainOptions, ["data.train.workers=0"])
    log = options.folder / "stage0" / "train.log"
    log.mkdir(parents=True)
    with pytest.raises(UserError, match=r"iteration 1: .*train\.log: Is a directory; no checkpoint was saved yet"):
        run_experiment(options, None)


def test_a_disk_that_is_full_when_the_log_is_closed_does_not_hide_what_went_wrong(photos, tmp_path, monkeypatch):
    options = load(experiment("supervised", tmp_path / "a", photos, 1), TrainOptions, ["data.train.workers=0"])

    def fail(*_):
        raise UserError("what went wrong")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Trainer, "iterate", fail)
    monkeypatch.setattr(logging.FileHandler, "close", full)
    with pytest.raises(UserError, match="what went wrong"):
        run_experiment(options, None)
