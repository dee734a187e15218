"""Event files for TensorBoard, written in the thread of the training.

torch's SummaryWriter writes in another thread. If the disk is full there, `flush` waits for ever; here the training
gets the error.
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
    """One event file in `folder`, which is created.

    Args:
        purge_step: TensorBoard hides points of earlier files from this step on.

    Raises:
        OSError: by all methods that write: the disk is full, the folder cannot be created.
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
        """Write a point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self._write(step, summary=scalar(name, value))

    def image(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Write a picture, uint8 h×w×3."""
        from torch.utils.tensorboard.summary import image

        self._write(step, summary=image(name, pixels, dataformats="HWC"))

    def _write(self, step: int, **what: Any) -> None:
        self.records.write(self._event(wall_time=time.time(), step=step, **what).SerializeToString())

    def flush(self) -> None:
        """Write all buffered events to the file."""
        self.records.flush()

    def close(self) -> None:
        """Flush and close."""
        self.records.close()
