"""The processes of an evaluation that `torchrun` or `accelerate launch` started."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


class Ranks:
    """This process and the others, within `with`; a single process needs no launcher.

    Attributes:
        rank: number of this process, from 0; rank 0 plans and writes the tables.
        count: number of processes.
    """

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = _rank()

    def __enter__(self) -> Ranks:
        if self.count > 1:
            # Only scores are sent, so gloo is enough on GPUs too. A finished rank may wait hours for the slowest.
            dist.init_process_group("gloo", timeout=timedelta(days=30))
        return self

    def __exit__(self, *_error: object) -> None:
        # Otherwise torch's threads may abort the process at exit, and the launcher then stops the others.
        if self.count > 1:
            dist.destroy_process_group()

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """`device`; if it is CUDA, the GPU of this process."""
        if device.type != "cuda" or self.count == 1:
            return device
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))

    def from_main(self, make: Callable[[], T]) -> T:
        """Run `make` on rank 0 and return its result on every rank."""
        box: list[Any] = [make() if self.is_main else None]  # filled below on the other ranks
        if self.count > 1:
            dist.broadcast_object_list(box, src=0)
        made: T = box[0]
        return made

    def gather(self, rows: list[T]) -> list[T]:
        """The rows of all ranks, on rank 0; an empty list elsewhere."""
        if self.count == 1:
            return rows
        parts: list = [None] * self.count if self.is_main else []
        dist.gather_object(rows, parts if self.is_main else None, dst=0)
        return [row for part in parts for row in part]


def is_main_process() -> bool:
    """Whether this is rank 0, or the only process."""
    return _rank() == 0


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))
