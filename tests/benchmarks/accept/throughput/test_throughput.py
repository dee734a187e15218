"""Speeds, operations and the estimate that is made of them."""

from pathlib import Path

import pytest
import torch

from benchmarks.accept import estimate
from benchmarks.accept.machine import fresh_runtime
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


def test_the_released_way_is_the_same_iteration(tmp_path):
    (prior,) = [w for w in workloads(tmp_path, full=False) if w.title == "CISR-PSI ×2, prior"]
    recipe, batch = prior.make(fresh_runtime(eager(torch.device("cpu"))))
    ours = recipe.iteration([batch])["loss"].item()
    assert released_way.released_way(prior, torch.device("cpu"))()[0] == pytest.approx(ours, rel=1e-3)
