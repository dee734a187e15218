"""Speeds, operations and the estimate that is made of them."""

import time
from pathlib import Path

import pytest
import torch

from benchmarks.accept import estimate
from benchmarks.accept.machine import fresh_runtime, per_second
from benchmarks.accept.step import Context
from benchmarks.accept.throughput import released_way, training_speed
from benchmarks.accept.throughput.workloads import GFLOPS, STAGES, eager, workloads

GOLDEN = Path(__file__).parents[3] / "golden"


def context(folder, seconds=5.0, earlier=()):
    own = folder / "own"
    own.mkdir(exist_ok=True)
    return Context(torch.device("cpu"), GOLDEN, own, seconds, list(earlier))


def test_recorded_operations_are_those_of_the_papers_stages(tmp_path):
    made = {workload.title: workload for workload in workloads(tmp_path, full=True)}
    assert list(made) == list(GFLOPS) == list(STAGES)
    assert made["CISR-PSI ×2, prior"].operations() / 1e9 == pytest.approx(GFLOPS["CISR-PSI ×2, prior"], abs=1e-3)


def test_training_speed_the_released_way_and_the_estimate(tmp_path, monkeypatch):
    """A small workload, called for real, by a clock that says five iterations a second."""

    def five(call, *_, **__):
        call()
        return 5.0

    for module in (training_speed, released_way):
        monkeypatch.setattr(module, "per_second", five)
    monkeypatch.setattr(Context, "left", lambda self: 1e9)
    small = [w for w in workloads(tmp_path, full=False) if w.title == "CISR-PSI ×2, prior"]
    for module in (training_speed, released_way, estimate):
        monkeypatch.setattr(module, "workloads", lambda folder, full: small)
    monkeypatch.setattr(training_speed, "WAYS", {"eager fp32": {}, "channels_last": {"channels_last": True}})
    rows = list(training_speed.training_speed(context(tmp_path, 10.0)))
    assert [row.verdict for row in rows] == ["stated"] * 2
    operations = small[0].operations()
    for row in rows:
        assert row.values["images/s"] == 10 and row.values["to eager fp32"] == 1.0
        assert row.values["TFLOP/s"] == pytest.approx(operations * 5 / 1e12)
    for row in rows:
        row.step = "training_speed"
    earlier = [row.as_json() for row in rows]
    beside = list(released_way.beside_the_released_way(context(tmp_path, 10.0, earlier)))
    assert [row.case for row in beside] == [w.title for w in small] and all(row.values["ratio"] == 1 for row in beside)
    hours = {row.case: row.values for row in estimate.schedules(context(tmp_path, 1.0, earlier))}
    values = hours["CISR-PSI ×2, prior"]
    assert values["hours, fastest way"] == pytest.approx(1500 / 5 / 3600 * values["scaled by"])
    assert 100 < values["scaled by"] < 10_000


def test_a_workload_is_not_begun_whose_operations_take_longer_than_the_time_that_is_left(tmp_path, monkeypatch):
    clock = [0.0]

    def measured(*_):
        clock[0] += 4.0
        return 1.0, None

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(training_speed, "measured", measured)
    titles = ("CISR-PSI ×2, prior", "CISRNet ×4, whole")
    some = [w for title in titles for w in workloads(tmp_path, full=False) if w.title == title]
    monkeypatch.setattr(training_speed, "workloads", lambda folder, full: some)
    monkeypatch.setattr(training_speed, "WAYS", {"eager fp32": {}})
    there = context(tmp_path, 9.0)
    there.began = 0.0
    rows = list(training_speed.training_speed(there))
    assert [(row.case, row.verdict) for row in rows] == [
        ("CISR-PSI ×2, prior: eager fp32", "stated"),
        ("eager fp32", "not run"),
    ]
    assert rows[1].note == "no time was left for CISRNet ×4, whole"


def test_one_call_is_enough_where_it_takes_longer_than_the_time_for_all():
    calls = []
    rate = per_second(lambda: calls.append(time.sleep(0.05)), torch.device("cpu"), 0.01)
    assert len(calls) == 3 and 0 < rate <= 20  # two to warm up
    calls.clear()
    per_second(lambda: calls.append(time.sleep(0.001)), torch.device("cpu"), 0.1)
    assert len(calls) >= 5


def test_the_released_way_is_the_same_iteration(tmp_path):
    (prior,) = [w for w in workloads(tmp_path, full=False) if w.title == "CISR-PSI ×2, prior"]
    recipe, batch = prior.make(fresh_runtime(eager(torch.device("cpu"))))
    ours = recipe.iteration([batch])["loss"].item()
    assert released_way.released_way(prior, torch.device("cpu"))()[0] == pytest.approx(ours, rel=1e-3)
