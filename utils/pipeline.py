"""Three things at once: the next images are loaded and the last ones scored and saved while one is restored."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch

Job = TypeVar("Job")
Loaded = TypeVar("Loaded")
Piece = TypeVar("Piece")
Result = TypeVar("Result")

AHEAD = 2
"""Jobs that are loaded, or being loaded, while one is worked on."""
BEHIND = 2
"""Threads that finish; as many pieces again may wait for them."""


def pipelined(
    jobs: Iterable[Job],
    load: Callable[[Job], Loaded],
    work: Callable[[Job, Loaded], Iterator[Piece]],
    finish: Callable[[Piece], Result],
) -> Iterator[Result]:
    """`finish(piece)` of every piece of `work(job, load(job))`, in order.

    `work` runs here, in the caller's thread; `load` and `finish` in threads of their own, several at a time. What
    lies in memory at once is bounded: `AHEAD` loaded jobs and twice `BEHIND` pieces beside those in hand. An error of
    any of the three is raised here once the calls that are under way have ended; no others are begun.
    """
    torch.get_num_threads()  # fixes this thread's number, which the others' settings would else become
    loaders = ThreadPoolExecutor(AHEAD, "load")
    # Scoring is many short operations: one thread each (metrics/psnr_ssim.py).
    finishers = ThreadPoolExecutor(BEHIND, "finish", initializer=torch.set_num_threads, initargs=(1,))
    loading: deque[tuple[Job, Future[Loaded]]] = deque()
    finishing: deque[Future[Result]] = deque()
    remaining = iter(jobs)

    def begin_loading(count: int) -> None:
        loading.extend((job, loaders.submit(load, job)) for job in islice(remaining, count))

    try:
        begin_loading(AHEAD)
        while loading:
            job, future = loading.popleft()
            loaded = future.result()
            begin_loading(1)
            for piece in work(job, loaded):
                if len(finishing) >= 2 * BEHIND:
                    yield finishing.popleft().result()
                finishing.append(finishers.submit(finish, piece))
        while finishing:
            yield finishing.popleft().result()
    finally:
        for pool in (loaders, finishers):
            pool.shutdown(wait=True, cancel_futures=True)
