"""Batches of a stage on the device, one ahead of the computation."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import torch

from data.datasets import Batch, PatchDataset, training_loader
from data.sampling import IterationSampler
from training.options import StageOptions, TrainOptions
from training.runtime import Runtime
from utils.errors import UserError

STALLED_S = 300.0
"""How long a batch may be waited for: a loader process that hangs must not hold a training for ever."""
_LOOK_S = 0.1  # between two looks at what else may have happened, while a batch is waited for
_LEAVE_S = 2.0  # that the thread is given to finish what it is at


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
    """The run was told to stop while no batch had come."""


class Batches:
    """Iterator over a stage's micro-batches on the device; `close` when done.

    Taking a batch over from a loader process, making floats of it and copying it to the device is done by a thread,
    one batch ahead, beside the computation of the one before.

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
        # The number of threads is each thread's own, once the main thread has settled its: asking for it does.
        torch.get_num_threads()
        # A daemon: where a loader process hangs, so does the thread, and Python would wait for any other at its end.
        arguments = (loader, runtime, self._wanted, self._come)
        self._thread = threading.Thread(target=_take_over, args=arguments, name="batches", daemon=True)
        self._thread.start()
        self._wanted.put(True)
        weakref.finalize(self, self._wanted.put, False)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next micro-batch.

        Raises:
            WaitEnded: `told_to_stop` said so.
            LoaderStalled: nothing came for too long.
            UserError: a file of the store that cannot be used.
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

    def close(self) -> None:
        """End the thread, and the loader's processes with it."""
        self._wanted.put(False)
        self._thread.join(_LEAVE_S)


def _take_over(
    loader: Iterator[Batch],
    runtime: Runtime,
    wanted: queue.SimpleQueue[bool],
    come: queue.SimpleQueue[Batch | Exception | None],
) -> None:
    """The thread: a batch for each that is wanted, None behind the last, an error as itself."""
    torch.set_num_threads(1)  # one core does for what is done here
    while wanted.get():
        try:
            come.put(runtime.to_device(next(loader)))
        except StopIteration:
            come.put(None)
        except UserError as error:  # a worker's error carries its traceback in the text; the last line is the message
            come.put(UserError(str(error).strip().splitlines()[-1].split("Error: ", 1)[-1]))
        except Exception as error:  # told where the batch is waited for
            come.put(error)
