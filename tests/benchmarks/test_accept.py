"""The acceptance run: steps bounded in time, failures as rows, results as they come, figures that can be wrong."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.accept import estimate, parity, restore_speed, throughput
from benchmarks.accept.__main__ import main
from benchmarks.accept.golden_runs import golden_run
from benchmarks.accept.page import page
from benchmarks.accept.released_way import released_way
from benchmarks.accept.results import Row, judged, shown
from benchmarks.accept.runner import Settings, run_steps
from benchmarks.accept.step import Context, Step
from benchmarks.accept.steps import STEPS
from benchmarks.accept.workloads import GFLOPS, STAGES, workloads
from utils.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"


def context(folder, seconds=5.0, earlier=()):
    own = folder / "own"
    own.mkdir(exist_ok=True)
    return Context(torch.device("cpu"), GOLDEN, own, seconds, list(earlier))


# Steps for the runner; in its process they are found by their names here.
def _fine(_):
    yield judged("one", {"value": 1.0}, True, "≤ 2")
    yield Row("two", {"value": 2.0})


def _raises(_):
    yield judged("before", {}, True, "")
    raise RuntimeError("a kernel\nwas wrong")


def _hangs(_):
    yield Row("before", {})
    time.sleep(600)


def _dies(_):
    yield Row("before", {})
    os.abort()


def step(run, weight=1.0):
    return Step("group", run.__name__, f"Title of {run.__name__}", "About.", weight, run)


def test_a_step_that_raises_hangs_or_dies_costs_its_row_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.accept.runner.STARTING", 200)
    steps = [step(_dies), step(_raises), step(_fine)]
    rows, machine = [], {}
    settings = Settings("cpu", GOLDEN, tmp_path / "log.txt")
    run_steps(steps, settings, 300, rows.append, machine.update)
    assert [(row.step, row.case, row.verdict) for row in rows] == [
        ("_dies", "before", "stated"),
        ("_dies", "all", "failed"),
        ("_raises", "before", "passed"),
        ("_raises", "all", "failed"),
        ("_fine", "one", "passed"),
        ("_fine", "two", "stated"),
    ]
    assert "SIGABRT" in rows[1].note and rows[3].note == "RuntimeError: a kernel was wrong"
    assert "CPU" in machine["device"] and "Traceback" in (tmp_path / "log.txt").read_text()
    text = page(machine, steps, rows, finished=True, command="c")
    assert "**Not accepted: 2 of 4 checks failed.**" in text
    assert "- Title of _raises: all: RuntimeError: a kernel was wrong" in text
    assert "| one | 1 | ✓ | ≤ 2 |" in text


def test_a_step_that_hangs_is_killed_and_steps_without_time_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.accept.runner.CLOSING", 0)
    steps, rows = [step(_hangs), step(_fine)], []
    start = time.monotonic()
    # The limit is all of the time that is left: the second step has none.
    run_steps(steps, Settings("cpu", GOLDEN, tmp_path / "log.txt"), 20, rows.append, lambda machine: None)
    assert time.monotonic() - start < 60
    assert [(row.step, row.verdict) for row in rows if row.case == "all"] == [
        ("_hangs", "failed"),
        ("_fine", "not run"),
    ]
    assert "killed" in next(row.note for row in rows if row.verdict == "failed")
    text = page({}, steps, rows, finished=True, command="c")
    assert "Not accepted" in text


def test_the_command_writes_rows_and_a_page_and_fails_where_a_golden_file_was_altered(tmp_path):
    golden = tmp_path / "golden"
    shutil.copytree(GOLDEN, golden, ignore=shutil.ignore_patterns("matlab", "training"))
    path = golden / "metrics.npz"
    values = dict(np.load(path))
    values["psnr_y1"] = values["psnr_y1"] + 0.5
    np.savez(path, **values)
    output = tmp_path / "out"
    arguments = ["--device", "cpu", "--minutes", "4", "--steps", "metrics", "nonlocal", "--output", str(output)]
    assert main([*arguments, "--golden", str(golden)]) == 1
    rows = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    failed = [row for row in rows if row["verdict"] == "failed"]
    assert [(row["step"], row["case"]) for row in failed] == [("metrics", "recorded pair 1")]
    assert sum(row["verdict"] == "passed" for row in rows) >= 6
    text = (output / "accept.md").read_text()
    assert "**Not accepted: 1 of" in text and "✗ FAILED" in text and "## Parity" in text


def test_a_page_that_is_accepted_and_one_that_is_not_finished():
    steps = [step(_fine), step(_raises)]
    rows = [Row("one", {"a": 1}, "passed", step="_fine"), Row("two", {"a": 2}, "not run", "no time", step="_fine")]
    assert "**Accepted: all 1 checks passed; 1 were not run.**" in page({}, steps, rows, finished=True, command="c")
    assert "Still running" in page({}, steps, rows, finished=False, command="c")
    rows.append(Row("all", {}, "not run", "no time was left", step="_raises"))
    assert "No time was left for Title of _raises." in page({}, steps, rows, finished=True, command="c")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1234.5, "1,234"),
        (0.00012, "1.2e-04"),
        (3.14159, "3.142"),
        (70000, "70,000"),
        ("a|b", "a\\|b"),
    ],
)
def test_figures_are_shown_short(value, text):
    assert shown(value) == text


def test_steps_have_names_of_their_own_and_mistakes_are_told():
    names = {s.name for s in STEPS}
    assert len(names) == len(STEPS) and not names & {s.group for s in STEPS}
    with pytest.raises(UserError, match="--steps speed: not known; there are golden_outputs"):
        main(["--device", "cpu", "--steps", "speed"])
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="use --device cpu"):
            main([])


def test_golden_trainings_notice_another_run(tmp_path):
    golden = tmp_path / "golden"
    (golden / "training").mkdir(parents=True)
    fixture = dict(np.load(GOLDEN / "training" / "cisrnet_coarse_x2.npz"))
    shutil.copy(GOLDEN / str(fixture["init_file"]), golden)
    fixture["losses"] = fixture["losses"] * (1 + 1e-6)
    np.savez(golden / "training" / "cisrnet_coarse_x2.npz", **fixture)
    found = golden_run("CISRNet, coarse", golden, tmp_path, torch.device("cpu"), torch.float64)
    assert 0.9e-6 < found.losses < 1.1e-6 and found.last < 1e-12
    assert torch.get_default_dtype() == torch.float32 and torch.Tensor.float(torch.ones(1)).dtype == torch.float32


def test_not_finite_is_infinitely_apart():
    assert parity._apart(torch.tensor([float("nan")]), torch.zeros(1)) == float("inf")
    assert parity._apart(torch.tensor([1020.0]), torch.tensor([510.0])) == 255


def test_recorded_operations_are_those_of_the_papers_stages(tmp_path):
    made = {workload.title: workload for workload in workloads(tmp_path, full=True)}
    assert list(made) == list(GFLOPS) == list(STAGES)
    assert made["CISR-PSI ×2, prior"].operations() / 1e9 == pytest.approx(GFLOPS["CISR-PSI ×2, prior"], abs=1e-3)


def test_training_speed_the_released_way_and_the_estimate(tmp_path, monkeypatch):
    """A small workload, called for real, by a clock that says five iterations a second."""

    def five(call, *_, **__):
        call()
        return 5.0

    monkeypatch.setattr(throughput, "per_second", five)
    monkeypatch.setattr(Context, "left", lambda self: 1e9)
    small = [w for w in workloads(tmp_path, full=False) if w.title == "CISR-PSI ×2, prior"]
    for module in (throughput, estimate):
        monkeypatch.setattr(module, "workloads", lambda folder, full: small)
    monkeypatch.setattr(throughput, "WAYS", {"eager fp32": {}, "channels_last": {"channels_last": True}})
    rows = list(throughput.training(context(tmp_path, 10.0)))
    assert [row.verdict for row in rows] == ["stated"] * 2
    operations = small[0].operations()
    for row in rows:
        assert row.values["images/s"] == 10 and row.values["to eager fp32"] == 1.0
        assert row.values["TFLOP/s"] == pytest.approx(operations * 5 / 1e12)
    for row in rows:
        row.step = "training_speed"
    earlier = [row.as_json() for row in rows]
    beside = list(throughput.beside_the_released_way(context(tmp_path, 10.0, earlier)))
    assert [row.case for row in beside] == [w.title for w in small] and all(row.values["ratio"] == 1 for row in beside)
    hours = {row.case: row.values for row in estimate.schedules(context(tmp_path, 1.0, earlier))}
    values = hours["CISR-PSI ×2, prior"]
    assert values["hours, fastest way"] == pytest.approx(1500 / 5 / 3600 * values["scaled by"])
    assert 100 < values["scaled by"] < 10_000


def test_the_released_way_is_the_same_iteration(tmp_path):
    (prior,) = [w for w in workloads(tmp_path, full=False) if w.title == "CISR-PSI ×2, prior"]
    from benchmarks.accept.machine import fresh_runtime
    from benchmarks.accept.workloads import eager

    recipe, batch = prior.make(fresh_runtime(eager(torch.device("cpu"))))
    ours = recipe.iteration([batch])["loss"].item()
    assert released_way(prior, torch.device("cpu"))()[0] == pytest.approx(ours, rel=1e-3)


def test_photographs_of_any_size():
    assert restore_speed.photograph(600).shape == (20, 30, 3)
    large = restore_speed.photograph(1_500_000)
    assert large.shape[0] * large.shape[1] == pytest.approx(1_500_000, rel=0.01)
