"""The processes that prepare images."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from data.store import StoreError
from data.store.image_maps import Made, Task, make


def made_by(tasks: list[Task], jobs: int) -> Iterator[Made]:
    """The result of each task as soon as it is there, from up to `jobs` processes; 1 works in this process.

    Raises:
        StoreError: a process was killed.
    """
    if min(jobs, len(tasks)) <= 1:
        yield from map(make, tasks)
        return
    # spawn: fork would copy the locks of torch's and OpenCV's threads in whatever state they are.
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn"), _start_worker, (os.getpid(),)) as pool:
        try:
            for future in as_completed([pool.submit(make, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool:
            raise StoreError(
                "a preparing process was killed (out of memory?); what it had finished is kept: "
                "run again, with --jobs 1 if it happens again"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    import cv2

    cv2.setNumThreads(1)

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # the parent was killed: nobody would collect the work

    threading.Thread(target=leave_with_parent, daemon=True).start()
