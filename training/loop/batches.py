"""Batches of a stage on the device, one ahead of the computation."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import torch

from data.datasets import Batch, PatchDataset, end_workers, training_loader
from data.sampling import IterationSampler
from training.options import StageOptions, TrainOptions
from training.runtime import Runtime
from utils.errors import UserError

STALLED_S = 300.0
"""Longest wait for a batch, so that a loader process that hangs does not block a training for ever."""
_LOOK_S = 0.1  # interval of checks for a stop or a stall while waiting for a batch
_LEAVE_S = 2.0  # time for the thread to finish
_NOTICE_S = 20.0  # time for it to notice that its loader processes were killed; torch looks every 5 s

_MOST_BY_CLOCK = 1 << 48
"""Samples reserved for a stage that ends by the clock: more than it can draw."""


def samples_of(options: TrainOptions, position: int, *, by_clock: bool) -> range:
    """The samples of a stage. They begin after those of the stage before, so no patch sequence is repeated."""
    if by_clock:
        return range(position * _MOST_BY_CLOCK, (position + 1) * _MOST_BY_CLOCK)
    counts = [stage.iterations * stage.batch_size for stage in options.stages[: position + 1]]
    return range(sum(counts[:-1]), sum(counts))


class LoaderStalled(RuntimeError):
    """No batch came for `STALLED_S`."""


class WaitEnded(Exception):
    """A signal stopped the wait for a batch."""


class Batches:
    """Iterator over the micro-batches of a stage on the device; call `close()` at the end.

    While one batch trains, a thread receives the next from a loader process, converts it to floats and copies it to the
    device.

    Args:
        samples: the samples of the stage, from the first that iteration 0 draws.
        iteration: the iteration to begin with.
        told_to_stop: called while a batch is awaited; true ends the wait.
    """

    def __init__(
        self,
        dataset: PatchDataset,
        stage: StageOptions,
        samples: range,
        iteration: int,
        runtime: Runtime,
        told_to_stop: Callable[[], bool] = lambda: False,
    ):
        self._told_to_stop = told_to_stop
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._come: queue.SimpleQueue[Batch | Exception | None] = queue.SimpleQueue()
        share, last = (runtime.rank, runtime.ranks), len(samples) // stage.batch_size
        sampler = IterationSampler(iteration, last, stage.batch_size, stage.accumulate, *share, samples.start)
        loader = iter(training_loader(dataset, sampler, pin_memory=runtime.device.type == "cuda"))
        # This call fixes the main thread's number of threads, so that the new thread may have another.
        torch.get_num_threads()
        # A daemon: if a loader process hangs, so does this thread, and Python waits at exit for threads that are not.
        arguments = (loader, runtime, self._wanted, self._come)
        self._thread = threading.Thread(target=_take_over, args=arguments, name="batches", daemon=True)
        self._thread.start()
        self._wanted.put(True)
        self.close = weakref.finalize(self, _end, self._thread, self._wanted)
        """End the thread and the loader processes; left out, it happens when nobody holds the batches, or at exit."""

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next micro-batch.

        Raises:
            WaitEnded: `told_to_stop` returned true.
            LoaderStalled: no batch came in time.
            UserError: a file of the store cannot be used.
        """
        since = time.monotonic()
        while True:
            try:
                batch = self._come.get(timeout=_LOOK_S)
                break
            except queue.Empty:
                if self._told_to_stop():
                    raise WaitEnded from None
                if time.monotonic() - since > STALLED_S:
                    raise LoaderStalled(f"no batch came for {STALLED_S:g} s") from None
        if batch is None:
            raise StopIteration
        if isinstance(batch, Exception):
            raise batch
        self._wanted.put(True)
        return batch


def _end(thread: threading.Thread, wanted: queue.SimpleQueue[bool]) -> None:
    """End the thread and the loader processes.

    At Python's exit the thread must have left: the process aborts where one is still inside torch.
    """
    wanted.put(False)
    thread.join(_LEAVE_S)
    if thread.is_alive():  # a loader process hangs
        end_workers()
        thread.join(_NOTICE_S)


def _take_over(
    loader: Iterator[Batch],
    runtime: Runtime,
    wanted: queue.SimpleQueue[bool],
    come: queue.SimpleQueue[Batch | Exception | None],
) -> None:
    """Body of the thread: put a batch for each one wanted, None after the last, or the error."""
    torch.set_num_threads(1)  # one core is enough for conversion and copy
    while wanted.get():
        try:
            come.put(runtime.to_device(next(loader)))
        except StopIteration:
            come.put(None)
        except UserError as error:  # the text of a worker's error holds its traceback; the last line is the message
            come.put(UserError(str(error).strip().splitlines()[-1].split("Error: ", 1)[-1]))
        except Exception as error:  # raised where the batch is awaited
            come.put(error)
