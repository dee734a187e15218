"""Locks: who holds them, and for how long."""

import multiprocessing
import time

from utils.files import locked


def test_a_lock_ends_with_its_process_and_not_with_the_workers_that_it_has_forked(tmp_path):
    with locked(tmp_path / ".lock", wait=False):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        worker.start()
    try:
        with locked(tmp_path / ".lock", wait=True):
            assert worker.is_alive()
    finally:
        worker.kill()
        worker.join()
