"""Signals that stop a training are noted, whatever has become of its stderr."""

import io
import os
import signal
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from benchmarks.soak import experiment, write_photos
from training.experiment import run_experiment
from training.loop.progress import Progress
from training.loop.stopping import StopSignals
from training.options import TrainOptions
from training.run_folder import RunFolder
from utils.errors import UserError
from utils.options import load


@pytest.fixture(autouse=True)
def restored_signals():
    """After a signal, a training leaves its handlers in place."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def no_file():
    return io.StringIO()


def read_by_nobody():
    reads, writes = os.pipe()
    os.close(reads)
    return os.fdopen(writes, "w")


@pytest.mark.parametrize("stderr", [no_file, read_by_nobody])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_where_nothing_can_be_said(monkeypatch, stderr, number):
    stream = stderr()
    monkeypatch.setattr(sys, "stderr", stream)
    with stream, StopSignals(SimpleNamespace(is_main=True, ranks=1)) as signals:
        signal.raise_signal(number)
    assert signals.received == signals.agreed(1) == number


def test_where_nobody_reads_any_more_a_stopped_training_is_saved(tmp_path, monkeypatch):
    """Ctrl-C in `python train.py … 2>&1 | tee log` ends `tee` at once."""
    options = experiment(
        "supervised", tmp_path / "a", write_photos(tmp_path / "photos"), 100, checkpoint={"every": 100}, log_every=100
    )
    reads, writes = os.pipe()
    step = Progress.step

    def pressed(progress, place):
        step(progress, place)
        if place == 3:
            os.close(reads)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Progress, "step", pressed)
    stream = os.fdopen(writes, "w", buffering=1)
    with suppress(BrokenPipeError), stream, pytest.raises(UserError, match="Broken pipe"):
        monkeypatch.setattr(sys, "stderr", stream)
        run_experiment(load(options, TrainOptions, ["data.train.workers=0"]), None)
    monkeypatch.undo()
    assert RunFolder(tmp_path / "a" / "runs" / "supervised" / "stage0").iterations() == [3]
