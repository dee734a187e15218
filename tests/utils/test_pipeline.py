"""Loading, restoring and finishing at the same time: order, bounds, errors."""

import threading
import time

import pytest

from utils.pipeline import AHEAD, BEHIND, pipelined


def twice(job, loaded):
    yield loaded, 0
    yield loaded, 1


def test_results_come_in_order_whatever_finishes_first():
    def slow_at_first(piece):
        time.sleep(0.02 if piece[0] % 3 == 0 else 0)
        return piece

    found = list(pipelined(range(10), lambda job: job * 10, twice, slow_at_first))
    assert found == [(job * 10, half) for job in range(10) for half in (0, 1)]
    assert list(pipelined([], int, twice, int)) == []


def test_the_three_parts_overlap():
    """Each waits until the others are at work; one after the other they would wait for ever."""
    meeting = threading.Barrier(3, timeout=20)

    def load(job):
        if job == 2:
            meeting.wait()

    def work(job, loaded):
        if job == 1:
            meeting.wait()
        yield job

    def finish(piece):
        if piece == 0:
            meeting.wait()
        return piece

    assert list(pipelined(range(3), load, work, finish)) == [0, 1, 2]


def test_memory_is_bounded():
    lock, loaded, worked, finished, most = threading.Lock(), [0], [0], [0], [0, 0]

    def count(counter, place, after):
        with lock:
            counter[0] += 1
            most[place] = max(most[place], counter[0] - after[0])

    def load(job):
        count(loaded, 0, worked)

    def work(job, _):
        with lock:
            worked[0] += 1
        count(started, 1, finished)
        yield job

    def finish(piece):
        time.sleep(0.01)
        with lock:
            finished[0] += 1

    started = [0]
    list(pipelined(range(40), load, work, finish))
    assert most[0] <= AHEAD + 1 and most[1] <= 3 * BEHIND + 1


@pytest.mark.parametrize("part", ["load", "work", "finish"])
def test_an_error_of_any_part_is_raised_and_nothing_more_is_begun(part):
    begun, threads = [], threading.active_count()

    def failing(name, value):
        begun.append(name)
        if name == part and begun.count(name) == 3:
            raise OSError(f"no more {name}")
        return value

    def work(job, loaded):
        yield failing("work", loaded)

    with pytest.raises(OSError, match=f"no more {part}"):
        list(pipelined(range(1000), lambda job: failing("load", job), work, lambda piece: failing("finish", piece)))
    assert len(begun) < 60
    assert threading.active_count() == threads
