"""The thread that fetches batches leaves before the program does: Python aborts at exit where one is inside torch."""

import gc
import multiprocessing
import os
import signal
import threading

import pytest

from benchmarks.accept.training.short_runs import trainer_of
from benchmarks.soak import experiment, write_photos
from training.loop.batches import LoaderStalled
from training.options import TrainOptions
from utils.options import load


@pytest.fixture
def batches(tmp_path):
    """A function that begins a training and returns its batches."""
    photos = write_photos(tmp_path / "photos")
    options = load(experiment("supervised", tmp_path / "a", photos, 100_000), TrainOptions, ["data.train.workers=1"])
    handler = signal.getsignal(signal.SIGCHLD)
    yield lambda: trainer_of(options).batches()
    signal.signal(signal.SIGCHLD, handler)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_a_loader_process_that_hangs_is_killed(batches, monkeypatch):
    monkeypatch.setattr("training.loop.batches.STALLED_S", 1)
    awaited = batches()
    next(awaited)
    (worker,) = multiprocessing.active_children()
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(LoaderStalled):
        while True:
            next(awaited)
    awaited.close()
    worker.join(5)
    assert not threads() and not worker.is_alive()


def test_batches_that_nobody_closed_end_with_their_last_reader(batches):
    next(batches())
    gc.collect()
    assert not threads()
