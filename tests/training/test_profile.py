"""`train.py --profile`: what it writes, and that it leaves everything else alone."""

import json
import os
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from benchmarks.soak import ROOT, experiment, write_photos
from training.options import TrainOptions
from training.profile import Clock, _laps, profile_training
from utils.errors import UserError
from utils.options import load


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("profile") / "photos")


def test_a_page_and_a_trace_but_no_run(photos, tmp_path, capsys):
    options = experiment("adversarial", tmp_path / "a", photos, 2, accumulate=2)
    assert profile_training(load(options, TrainOptions, ["data.train.workers=0"]), 2) == 0
    folder = tmp_path / "a" / "runs" / "adversarial"
    assert sorted(path.name for path in folder.rglob("*")) == ["profile", "summary.md", "trace.json"]
    page = (folder / "profile" / "summary.md").read_text()
    assert page.strip() == capsys.readouterr().out.strip()
    parts = {
        name: (float(ms), float(share))
        for name, ms, share in re.findall(r"\| ([a-z ]+) \| ([\d.]+) \| ([\d.]+) %", page)
    }
    assert list(parts) == ["data wait", "forward and losses", "backward", "optimiser", "rest"]
    assert sum(share for _, share in parts.values()) == pytest.approx(100, abs=0.3)
    rate, whole = map(float, re.search(r"- ([\d.]+) images/s, ([\d.]+) ms an iteration", page).groups())
    assert sum(ms for ms, _ in parts.values()) == pytest.approx(whole, abs=0.1)
    assert rate == pytest.approx(4e3 / whole, rel=0.02, abs=0.06) and min(ms for ms, _ in parts.values()) >= 0
    assert len(re.findall(r"^\| `\S.*` \| [\d.]+ % \| \d+ \|$", page, re.M)) == 10 and "`aten::" in page
    events = json.loads((folder / "profile" / "trace.json").read_text())["traceEvents"]
    counts = {
        name: sum(event.get("name") == name for event in events) for name in ("iteration", "backward", "optimiser")
    }
    # Two networks, two micro-batches, of which the discriminator judges both halves: 2 + 4 passes, 2 steps.
    assert counts["backward"] == 6 * counts["iteration"] and counts["optimiser"] == 2 * counts["iteration"] > 0


def test_the_thread_for_batches_leaves_the_others_to_the_network(photos, tmp_path):
    command = [
        sys.executable,
        ROOT / "train.py",
        "--options",
        experiment("supervised", tmp_path, photos, 2),
        "--profile=1",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # in a process that has not asked for its number yet
    page = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "CPU, 2 threads" in page


def test_less_than_an_iteration_is_refused(photos, tmp_path):
    options = load(experiment("supervised", tmp_path / "a", photos, 2), TrainOptions)
    with pytest.raises(UserError, match="at least one iteration"):
        profile_training(options, 0)


@pytest.mark.parametrize(
    ("arguments", "iterations"),
    [
        (["--profile", "seed=1"], 20),
        (["seed=1", "--profile"], 20),
        (["--profile", "3", "seed=1"], 3),
        (["--profile=3", "seed=1"], 3),
    ],
)
def test_an_override_behind_the_option_is_an_override(photos, tmp_path, monkeypatch, arguments, iterations):
    seen = []
    monkeypatch.setattr("training.profile.profile_training", lambda *given: seen.append(given) or 0)
    main = runpy.run_path(str(ROOT / "train.py"))["main"]
    assert main(["--options", str(experiment("supervised", tmp_path, photos, 2)), *arguments]) == 0
    ((options, count),) = seen
    assert (options.seed, count) == (1, iterations)


def test_laps_are_taken_off_again_and_add_up():
    class Owner:
        def backward(self):
            return "loss"

        def step(self):
            return "step"

    accelerator, optimizer = Owner(), Owner()
    trainer = SimpleNamespace(
        runtime=SimpleNamespace(accelerator=accelerator), recipe=SimpleNamespace(optimizers={"generator": optimizer})
    )
    clock = Clock(torch.device("cpu"))
    clock.lap("start")
    with _laps(trainer, clock):
        assert (accelerator.backward(), optimizer.step()) == ("loss", "step")
    assert not vars(accelerator) and not vars(optimizer)
    assert [name for name, _ in clock.laps] == ["start", "forward and losses", "backward", "optimiser"]
    assert sum(clock.milliseconds().values()) == pytest.approx(1e3 * (clock.laps[-1][1] - clock.laps[0][1]))
