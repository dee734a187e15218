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
    """

    device: torch.device
    golden: Path
    folder: Path
    seconds: float
    earlier: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def cuda(self) -> bool:
        return self.device.type == "cuda"

    @property
    def full(self) -> bool:
        """Whether networks, patches and batches are the papers'; on a CPU they are small."""
        return self.cuda

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
