"""A step of the acceptance, and what it is given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.accept.results import Row


@dataclass
class Context:
    """What a step may use.

    Attributes:
        device: that is accepted.
        golden: folder of the golden files.
        folder: for the step's own files; removed with everything else at the end.
        seconds: the time meant for it. A step does less where it is slow; one that does not end is killed later.
        earlier: the rows of the steps before.
        starting: seconds that a Python process with torch took to start here.
    """

    device: torch.device
    golden: Path
    folder: Path
    seconds: float
    earlier: list[dict[str, Any]] = field(default_factory=list)
    starting: float = 5.0
    began: float = field(default_factory=time.monotonic)

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def shared(self) -> Path:
        """A folder that all steps share."""
        return self.folder.parent

    @property
    def full(self) -> bool:
        """Whether networks, patches and batches are the papers'; on a CPU they are small."""
        return self.cuda

    def room_for_processes(self, number: int) -> bool:
        """Whether so many processes can be started, one after the other, within twice the step's time."""
        return number * self.starting <= 2 * self.seconds

    def left(self) -> float:
        """Seconds that are left of those meant for the step."""
        return self.seconds - (time.monotonic() - self.began)


@dataclass(frozen=True)
class Step:
    """One step; `weight` is its share of the time, `run` yields rows as results come."""

    group: str
    name: str
    title: str
    about: str
    weight: float
    run: Callable[[Context], Iterator[Row]]
