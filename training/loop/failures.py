"""Messages for failures of the machine during a training: memory, disk, loader processes."""

from __future__ import annotations

import re

import torch

from training.loop.batches import LoaderStalled
from training.options import TrainOptions

FAULTS = (RuntimeError, MemoryError, OSError)
"""The types that `explain` handles; torch.OutOfMemoryError is a RuntimeError."""
# Texts of torch's CPU allocator, which raises no type of its own.
_CPU_MEMORY = ("not enough memory", "can't allocate memory", "Cannot allocate memory")
# "DataLoader worker (pid 123) is killed by signal: Killed.", raised at any point of the training process.
_LOADER = "DataLoader worker"
# "unable to allocate shared memory(shm) for file </torch_…>: No space left on device (28)", and similar texts of torch.
_SHARED_MEMORY = re.compile(r"shared memory\(shm\)|file </torch_")


def explain(error: Exception, options: TrainOptions) -> str | None:
    """One line: what happened and what to change. None for a defect, which keeps its traceback."""
    text = " ".join(str(error).split())
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(words in text for words in _CPU_MEMORY):
        return f"out of memory; {less_memory(options)}"
    if isinstance(error, OSError):
        # The text of a loader process's error holds its traceback; the message is at its end.
        return f"{error.filename or options.folder}: {error.strerror or text.rpartition('Error: ')[2]}"
    if isinstance(error, LoaderStalled):
        return _loader_died(f" or hangs ({text})")
    if _SHARED_MEMORY.search(text):
        return _loader_died(" (its batch does not fit into shared memory, /dev/shm)")
    if _LOADER in text and "Caught " not in text:  # "Caught …": a defect in a worker
        how = text.partition("killed by signal: ")[2].partition(".")[0]
        return _loader_died(f" ({how})" if how else "")
    return None


def _loader_died(how: str) -> str:
    return (
        f"a loader process died{how}: main or shared memory ran out, it was killed, or a "
        "file of the store was cut short; free memory or lower data.train.workers"
    )


def less_memory(options: TrainOptions) -> str:
    """The options that reduce memory, first those that do not change what is trained."""
    ways = ["raise accumulate of the stage"]
    if not getattr(options.generator, "checkpointing", True):
        ways.append("set generator.checkpointing")
    ways += ["lower batch_size of the stage", "lower data.train.patch_size"]
    return f"{', '.join(ways[:-1])} or {ways[-1]} (train.py --check estimates what is needed)"
