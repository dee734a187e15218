"""The loop through `train.py`: stopping, faults, several processes, accumulation."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from benchmarks.soak import ROOT, experiment, finish, start, write_photos
from data.datasets import PatchDataset
from models.checkpoints import read_state
from training.experiment import run_experiment
from training.options import TrainOptions
from training.run_folder import RunFolder, read_checkpoint
from utils.options import load


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("trainer") / "photos")


def stage(options):
    return RunFolder(options.parent / "runs" / options.stem / "stage0")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_iteration_saves_and_sets_the_status(photos, tmp_path, number, status):
    options = experiment("supervised", tmp_path / "a", photos, 100_000, checkpoint={"every": 100_000}, log_every=1)
    process = start(options)
    log = stage(options).folder / "train.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "iteration 3" in log.read_text()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "no iteration within two minutes"
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    (iteration,) = stage(options).iterations()
    assert f"stopped by {number.name} after iteration {iteration}, saved" in errors and "Traceback" not in errors
    state = read_checkpoint(stage(options).checkpoint(iteration))
    assert state["iteration"] == iteration
    finish(options, "--resume", "auto", f"stages.0.iterations={iteration + 2}")
    assert stage(options).iterations()[-1] == iteration + 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_stops_as_well(photos, tmp_path, number):
    """Ctrl-C in a terminal reaches the loader's workers too; they must not leave before the iteration is done.

    A launcher hands it on once more, a moment later.
    """
    options = experiment("supervised", tmp_path / "a", photos, 100_000, checkpoint={"every": 100_000}, log_every=1)
    command = [sys.executable, "train.py", "--options", str(options), "data.train.workers=2"]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    )
    log = stage(options).folder / "train.log"
    deadline = time.monotonic() + 120
    while not (log.exists() and "iteration 3" in log.read_text()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, "no iteration within two minutes"
        time.sleep(0.05)
    os.killpg(process.pid, number)
    time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in errors, errors
    assert len(stage(options).iterations()) == 1


def test_going_back_to_an_older_checkpoint_asks_for_the_newer_ones_to_be_moved(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 4)
    finish(options)
    older, newer = (stage(options).checkpoint(iteration) for iteration in (3, 4))
    process = start(options, "--resume", str(older))
    _, errors = process.communicate()
    assert process.returncode == 2 and f"{newer} is newer; move it away" in errors
    newer.rename(tmp_path / "kept.pt")
    finish(options, "--resume", str(older))
    assert read_checkpoint(newer)["iteration"] == 4
    finish(options, "--resume", str(older), "name=branch")


def test_weights_that_are_not_finite_are_never_saved(photos, tmp_path):
    """The step that spoils the weights has a finite loss: here the last one before the save."""
    options = experiment("supervised", tmp_path / "a", photos, 1, ema=None, clip_grad_norm=None)
    process = start(options, "stages.0.optimizer={type: sgd, lr: 1e20, weight_decay: 1e38}")
    _, errors = process.communicate()
    assert process.returncode == 2 and "the weights were not finite at iteration 1" in errors, errors
    assert stage(options).iterations() == [] and not stage(options).last.exists() and not stage(options).best.exists()


def test_a_loss_that_is_not_finite_stops_before_anything_bad_is_saved(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 40, log_every=7, clip_grad_norm=None, ema=None)
    finish(options, "stages.0.iterations=10")
    process = start(options, "--resume", "auto", "stages.0.optimizer.lr=1e20", "stages.0.checkpoint.every=7")
    _, errors = process.communicate()
    assert process.returncode == 2 and "Traceback" not in errors
    found = re.search(
        r"error: the loss or the weights were not finite at iteration (\d+) of stage 'stage0' "
        r"\(learning rate [\d.e+]+\)",
        errors,
    )
    assert found and 10 < int(found[1]) <= 14, errors
    assert f"last good checkpoint is {stage(options).checkpoint(10)}" in errors
    assert stage(options).iterations() == [9, 10]
    for path in (stage(options).last, stage(options).best):
        assert all(tensor.isfinite().all() for tensor in read_state(path).values())


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 6)
    finish(options)
    newest = stage(options).checkpoint(6)
    newest.write_bytes(newest.read_bytes()[:-500])
    process = start(options, "--resume", "auto")
    _, errors = process.communicate()
    assert process.returncode == 0 and f"{newest}: damaged" in errors
    assert "going back to the checkpoint before" in errors and "iteration 5" in errors
    assert read_checkpoint(newest)["iteration"] == 6


def test_a_checkpoint_of_another_network_is_refused(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    finish(options)
    process = start(options, "--resume", "auto", "generator.num_feat=16")
    _, errors = process.communicate()
    assert process.returncode == 2 and "does not fit this network and recipe" in errors and "Traceback" not in errors


def test_a_run_folder_that_cannot_be_made_is_named(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    (tmp_path / "a" / "runs").write_text("a file")
    process = start(options)
    _, errors = process.communicate()
    assert process.returncode == 2 and str(tmp_path / "a" / "runs") in errors and len(errors.strip().splitlines()) == 1


def test_no_stage_meets_the_patches_of_the_one_before(photos, tmp_path, monkeypatch):
    options = load(experiment("coarse_to_fine", tmp_path / "a", photos, 3), TrainOptions, ["data.train.workers=0"])
    drawn = []
    original = PatchDataset.__getitems__

    def noted(dataset, ks):
        drawn.extend(ks)
        return original(dataset, ks)

    monkeypatch.setattr(PatchDataset, "__getitems__", noted)
    assert run_experiment(options, None) == 0
    assert len(options.stages) == 2 and drawn == list(range(2 * 3 * 4))


def losses(options):
    log = (stage(options).folder / "train.log").read_text()
    return [float(value) for value in re.findall(r"iteration \d+: .*?loss ([\d.e+-]+)", log)]


def train(options, *overrides, processes=1):
    command = [sys.executable, "train.py", "--options", options, *overrides]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command[1:1] = launcher
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_processes_and_micro_batches_do_not_change_the_training(photos, tmp_path, optimizer):
    """One process, two processes, and two micro-batches: the same samples, the same steps, the same scores."""
    lr = {"sgd": 1e-6, "adam": 1e-4}[optimizer]
    options = {
        name: experiment(
            "supervised",
            tmp_path / name,
            photos,
            20,
            optimizer={"type": optimizer, "lr": lr},
            log_every=1,
            ema=None,
            validation={"every": 10},
            accumulate=2 if name == "accumulated" else 1,
        )
        for name in ("one", "two", "accumulated")
    }
    train(options["one"])
    train(options["two"], processes=2)
    train(options["accumulated"])
    expected = losses(options["one"])
    assert len(expected) == 20
    reference = read_state(stage(options["one"]).last)
    for other in ("two", "accumulated"):
        assert losses(options[other]) == pytest.approx(expected, rel=1e-4)
        if optimizer == "sgd":
            state = read_state(stage(options[other]).last)
            for name, tensor in reference.items():
                torch.testing.assert_close(state[name], tensor, atol=1e-5, rtol=0)
        # Shared out or not, the validation's means are the same.
        scores = [read_checkpoint(stage(options[run]).checkpoint(20))["ranking"][0][0] for run in ("one", other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_a_batch_that_the_processes_cannot_share_is_refused(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 2, batch_size=3)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, "train.py", "--options", options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "stages.0.batch_size 3 is not a multiple of 1 micro-batches × 2 processes" in done.stderr


@pytest.mark.parametrize(
    "overrides",
    [
        ["runtime.precision=bf16", "runtime.channels_last=false", "runtime.fused=true"],
        ["runtime.deterministic=true", "stages.0.optimizer.type=adamw", "data.train.workers=0"],
    ],
)
def test_runtime_options_train(photos, tmp_path, overrides):
    options = experiment("supervised", tmp_path / "a", photos, 6)
    finish(options, *overrides)
    assert len(losses(options)) == 2 and stage(options).best.is_file()
