"""Signals that stop a training after the current iteration is finished and saved."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType

import torch

from training.runtime import Runtime

STOP_CHECK = 10
"""With several processes, iterations between checks whether any of them received a signal."""
SAME_PRESS_S = 1.0
"""Signals within this time of the first count as one: a key may bounce, and a launcher may forward a signal that the
terminal already sent to its group."""


class Stopped(Exception):
    """A signal stopped the run; the iteration is finished and saved."""

    def __init__(self, signal_number: int):
        super().__init__(f"stopped by signal {signal_number}")
        self.signal = signal_number


class StopSignals:
    """Within `with`, the first SIGTERM or SIGINT is only noted; a later one has its usual effect.

    After a noted one it stays so until the program has ended.
    """

    def __init__(self, runtime: Runtime):
        self.runtime = runtime
        self.received = 0
        """The signal received by this process, or 0."""
        self._since = 0.0

    def __enter__(self) -> StopSignals:
        numbers: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.getsignal(number) for number in numbers}
        for number in self._before:
            signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self.received:  # the program ends; the launcher's second signal must not end it otherwise
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.received:
            self.received, self._since = number, now
            # Without a reader (Ctrl-C ends the `tee` behind us too) or a file (a notebook's stderr) nothing is said: an
            # error raised here would end the training unsaved.
            with suppress(OSError):
                if self.runtime.is_main:  # not by print, which the signal may have interrupted
                    os.write(sys.stderr.fileno(), b"stopping after this iteration; once more to end at once, unsaved\n")
        elif now - self._since >= SAME_PRESS_S:
            signal.signal(number, self._before[number])
            signal.raise_signal(number)

    def ends_waiting(self) -> bool:
        """Whether to stop waiting for a batch: true after a signal, if there is one process.

        Several processes would stop at different iterations and could not save; their launcher ends them.
        """
        return bool(self.received) and self.runtime.ranks == 1

    def agreed(self, iteration: int) -> int:
        """The signal that stops all processes after this iteration, or 0."""
        if self.runtime.ranks == 1:
            return self.received
        if iteration % STOP_CHECK:
            return 0
        flag = torch.tensor(self.received, device=self.runtime.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return int(flag)
