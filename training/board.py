"""TensorBoard's event files, written where they are asked for.

torch's SummaryWriter writes in a thread of its own. Where that thread meets a full disk, whoever flushes waits for it
for ever; here the error reaches the training.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

_count = itertools.count()


class Board:
    """One event file in `folder`, which is made.

    Args:
        purge_step: points of earlier files from this step on are not shown any more.

    Raises:
        OSError: here and in all that writes: the disk is full, the folder cannot be made.
    """

    def __init__(self, folder: Path, purge_step: int):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_count)}"
        self.records = RecordWriter((folder / name).open("xb"))
        self._write(purge_step, file_version="brain.Event:2")
        self._write(purge_step, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """A point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self._write(step, summary=scalar(name, value))

    def image(self, name: str, pixels: np.ndarray, step: int) -> None:
        """A picture, uint8 h×w×3."""
        from torch.utils.tensorboard.summary import image

        self._write(step, summary=image(name, pixels, dataformats="HWC"))

    def _write(self, step: int, **what: Any) -> None:
        self.records.write(self._event(wall_time=time.time(), step=step, **what).SerializeToString())

    def flush(self) -> None:
        """What was written is in the file when this returns."""
        self.records.flush()

    def close(self) -> None:
        """Flush and close."""
        self.records.close()
