"""Steps are bounded in time; a failure of any kind is a row, and what it started ends with it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.accept.page import page
from benchmarks.accept.results import Row, judged
from benchmarks.accept.runner import Settings, run_steps
from benchmarks.accept.step import Step

GOLDEN = Path(__file__).parents[2] / "golden"


# Steps for the runner; in its process they are found by their names here.
def _fine(_):
    yield judged("one", {"value": 1.0}, True, "≤ 2")
    yield Row("two", {"value": 2.0})


def _raises(_):
    yield judged("before", {}, True, "")
    raise RuntimeError("a kernel\nwas wrong")


def _dies(_):
    yield Row("before", {})
    os.abort()


def _hangs(_):
    """As torchrun does: its process is no member of our group and ends where torchrun is asked to end."""
    outer = (
        "import signal, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "signal.signal(signal.SIGTERM, lambda *_: (child.kill(), child.wait(), sys.exit()))\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True) as process:
        yield Row("child", {"pid": int(process.stdout.readline())})
        time.sleep(600)


def step(run, weight=1.0):
    return Step("group", run.__name__, f"Title of {run.__name__}", "About.", weight, run)


def test_a_step_that_raises_hangs_or_dies_costs_its_row_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.accept.runner.STARTING", 200)
    monkeypatch.setattr("benchmarks.accept.runner.MORE", 5)
    steps = [step(_dies), step(_fine), step(_hangs, weight=1e-6), step(_raises)]
    rows, machine = [], {}
    run_steps(steps, Settings("cpu", GOLDEN, tmp_path / "log.txt"), 600, rows.append, machine.update)
    assert [(row.step, row.case, row.verdict) for row in rows] == [
        ("_dies", "before", "stated"),
        ("_dies", "all", "failed"),
        ("_fine", "one", "passed"),
        ("_fine", "two", "stated"),
        ("_hangs", "child", "stated"),
        ("_hangs", "all", "failed"),
        ("_raises", "before", "passed"),
        ("_raises", "all", "failed"),
    ]
    notes = {row.step: row.note for row in rows if row.case == "all"}
    assert "SIGABRT" in notes["_dies"] and notes["_raises"] == "RuntimeError: a kernel was wrong"
    assert notes["_hangs"] == "did not end within 5 s; it hangs, or --minutes is too low"
    with pytest.raises(ProcessLookupError):  # what it started ended too
        os.kill(rows[4].values["pid"], 0)
    assert "CPU" in machine["device"] and "Traceback" in (tmp_path / "log.txt").read_text()
    text = page(machine, steps, rows, finished=True, command="c")
    assert "**Not accepted: 3 of 5 checks failed.**" in text
    assert "- Title of _raises: all: RuntimeError: a kernel was wrong" in text
    assert "| one | 1 | ✓ | ≤ 2 |" in text
    assert "| Title of _fine | 1 |  |  | " in text and "| Title of _dies |  | 1 |  | " in text


def test_a_step_for_which_no_time_is_left_says_so(tmp_path):
    rows = []
    run_steps([step(_fine)], Settings("cpu", GOLDEN, tmp_path / "log.txt"), 6, rows.append, lambda machine: None)
    assert [(row.verdict, row.note) for row in rows] == [("not run", "no time was left")]
