"""What has changed when a run goes on (options, images, damaged files) is applied, mended or refused."""

import shutil

import pytest
import torch
from torch import nn

from benchmarks.soak import differences, experiment, write_photos
from models.checkpoints import read_state
from training.experiment import run_experiment
from training.optimization import OptimizerOptions, build_optimizer
from training.options import TrainOptions
from training.resume import load_optimizer, starting_point
from training.run_folder import CheckpointError, RunFolder, read_checkpoint
from utils.options import load, validate


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("changes") / "photos")


def train(options, resume=None, *overrides):
    assert run_experiment(load(options, TrainOptions, ["data.train.workers=0", *overrides]), resume) == 0


def stage(options, number=0):
    return RunFolder(options.parent / "runs" / options.stem / f"stage{number}")


def test_where_every_checkpoint_is_damaged_nothing_is_overwritten(photos, tmp_path):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    train(options)
    folder = stage(options)
    kept = {path: path.read_bytes() for path in (folder.best, folder.last)}
    for iteration in (1, 2):
        folder.checkpoint(iteration).write_bytes(b"x" * 1000)
    with pytest.raises(CheckpointError, match="no checkpoint of stage 'stage0' is whole") as error:
        train(options, "auto")
    assert all(str(folder.checkpoint(iteration)) in str(error.value) for iteration in (1, 2))
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert str(folder.checkpoints) in str(error.value)  # as it advises:
    folder.checkpoints.rename(tmp_path / "damaged")
    train(options, "auto")
    assert folder.iterations() == [1, 2]


@pytest.mark.parametrize(
    ("change", "in_force"),
    [
        (["betas=[0.5,0.9]", "weight_decay=0.3"], {"betas": (0.5, 0.9), "weight_decay": 0.3}),
        (["type=adamw", "weight_decay=0.3"], {"weight_decay": 0.3, "decoupled_weight_decay": True}),
    ],
)
def test_changed_options_of_the_optimiser_are_in_force(photos, tmp_path, capsys, change, in_force):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    train(options)
    overrides = [f"stages.0.optimizer.{override}" for override in change]
    train(options, "auto", "stages.0.iterations=4", *overrides)
    state = read_checkpoint(stage(options).checkpoint(4))["optimizers"]["generator"]
    (group,) = state["param_groups"]
    if "decoupled_weight_decay" not in group:  # torch 2.6: AdamW does not say so
        in_force = {key: value for key, value in in_force.items() if key != "decoupled_weight_decay"}
    assert {key: group[key] for key in in_force} == in_force
    assert all(float(entry["step"]) == 4 for entry in state["state"].values())  # the averages went on
    said = capsys.readouterr().err
    assert all(f"changed since: stages.0.optimizer.{name.partition('=')[0]}" in said for name in change)


@pytest.mark.parametrize(
    ("before", "now", "average"),
    [
        ({"type": "sgd"}, {"type": "sgd", "momentum": 0.5, "weight_decay": 0.1}, "momentum_buffer"),
        ({"type": "adam"}, {"type": "adam", "betas": [0.5, 0.9], "weight_decay": 0.1}, "exp_avg"),
    ],
)
def test_every_option_of_the_optimiser_is_as_it_is_now(before, now, average):
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.full((3,), 2.0)
    first = build_optimizer(validate({"lr": 1e-3, **before}, OptimizerOptions, "x"), [weight], fused=False)
    first.step()
    then = build_optimizer(validate({"lr": 1e-4, **now}, OptimizerOptions, "x"), [weight], fused=True)
    load_optimizer(then, first.state_dict(), "a.pt")
    (group,) = then.param_groups
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in now.items() if key != "type"}
    assert {key: group[key] for key in [*options, "fused"]} == {**options, "fused": True}
    assert torch.equal(then.state[weight][average], first.state[weight][average])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda state: state["optimizers"]["generator"]["state"][0].update(exp_avg=torch.zeros(1)), "exp_avg of shape"),
        (lambda state: state.update(random={"cpu": torch.zeros(5056)}), "ByteTensor"),
        (lambda state: state["networks"].clear(), "generator"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_before_training(photos, tmp_path, change, why):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    train(options)
    path = stage(options).checkpoint(2)
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=rf"00000002\.pt: does not fit this network and recipe \(.*{why}"):
        train(options, "auto", "stages.0.iterations=4")


@pytest.mark.parametrize("kind", ["sgd", "muon"])
def test_an_optimiser_of_another_kind_is_refused(photos, tmp_path, kind):
    options = experiment("supervised", tmp_path / "a", photos, 2)
    train(options)
    more = ["stages.0.iterations=4", f"stages.0.optimizer={{type: {kind}, lr: 1e-6}}"]
    with pytest.raises(CheckpointError, match=r"00000002\.pt: the averages of Adam, SGD and Muon"):
        train(options, "auto", *more)
    train(options, "auto", "stages.0.iterations=3")  # as it advises: the old type
    last = f"stages.0.init={stage(options).last}"
    train(options, None, *more, "name=other", last)  # and another name


def test_what_comes_too_late_is_said_so(photos, tmp_path, capsys):
    options = experiment("coarse_to_fine", tmp_path / "a", photos, 1)
    train(options)
    capsys.readouterr()
    overrides = ["start=interpolation", "stages.0.ema=0.5", "stages.1.log_every=1", "stages.1.iterations=2"]
    train(options, "auto", *overrides)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("changed since")]
    assert lines == [
        "changed since, too late for this run: start: 'random' → 'interpolation'",
        "changed since, too late for this run: stages.0.ema: 0.9 → 0.5",
        "changed since: stages.1.iterations: 1 → 2",
        "changed since: stages.1.log_every: 5 → 1",
    ]


def test_what_has_changed_is_said_where_a_stage_begins_too(photos, tmp_path, capsys):
    options = experiment("coarse_to_fine", tmp_path / "a", photos, 1)
    train(options)
    shutil.rmtree(stage(options, 1).folder)
    capsys.readouterr()
    train(options, "auto", "stages.0.iterations=3", "stages.1.iterations=2")
    said = capsys.readouterr().err
    assert "stage0, iteration 1" in said and "changed since: stages.0.iterations: 1 → 3" in said  # it goes on
    train(options, "auto", "stages.0.iterations=3", "stages.1.iterations=2", "seed=1")
    shutil.rmtree(stage(options, 1).folder)
    capsys.readouterr()
    train(options, "auto", "stages.0.iterations=2", "stages.1.iterations=1", "seed=2")
    assert [line for line in capsys.readouterr().err.splitlines() if "since" in line or "resuming" in line] == [
        f"resuming from {stage(options).checkpoint(3)} (stage stage0, iteration 3)",
        "changed since: seed: 0 → 2",
        "changed since, too late for this run: stages.0.iterations: 3 → 2",
        "changed since: stages.1.iterations: 2 → 1",
    ]


def test_by_the_clock_a_stage_is_over_when_its_time_is(photos, tmp_path):
    path = experiment("coarse_to_fine", tmp_path / "a", photos, 2)
    train(path)
    shutil.rmtree(stage(path, 1).folder)
    options = load(path, TrainOptions, ["runtime.minutes=1"])
    folders = [stage(path, number) for number in (0, 1)]
    state = read_checkpoint(folders[0].checkpoint(2))
    for place, first in ((1, 0), (2, 1)):
        budget = {"minutes": 1.0, "elapsed": 30.0, "ending": None, "place": place}
        folders[0].save({**state, "iteration": 500, "validated": 500, "budget": budget}, 9, None)
        position, resumed = starting_point(options, folders, "auto", say=False)
        assert position == first and (resumed is None) == (first == 1)


def test_images_that_were_added_or_exchanged_are_announced(photos, tmp_path, capsys):
    own = shutil.copytree(photos, tmp_path / "photos")
    options = experiment("supervised", tmp_path / "a", own, 1)
    train(options)
    train(options, "auto", "stages.0.iterations=2")
    assert "the training images" not in capsys.readouterr().err
    shutil.copy(own / "a.png", own / "c.png")
    train(options, "auto", "stages.0.iterations=3")
    assert "changed since: the training images: 2 → 3\n" in capsys.readouterr().err
    shutil.copy(own / "b.png", own / "c.png")
    train(options, "auto", "stages.0.iterations=4")
    assert "changed since: the training images: others among them\n" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["deleted", "cut short", "one bit"])
def test_last_weights_of_a_finished_stage_are_made_again_from_its_checkpoint(photos, tmp_path, capsys, damage):
    straight = experiment("coarse_to_fine", tmp_path / "a", photos, 2)
    train(straight)
    options = experiment("coarse_to_fine", tmp_path / "b", photos, 2)
    shutil.copytree(straight.parent / "runs", options.parent / "runs")
    shutil.rmtree(stage(options, 1).folder)
    last = stage(options).last
    data = bytearray(last.read_bytes())
    if damage == "deleted":
        last.unlink()
    else:
        data[len(data) // 2] ^= 0x40
        last.write_bytes(data if damage == "one bit" else data[: len(data) // 2])
    capsys.readouterr()
    train(options, "auto")
    assert f"{last}: missing or damaged; made again from {stage(options).checkpoint(2)}" in capsys.readouterr().err
    assert read_state(last).keys() == read_state(stage(straight).last).keys()
    assert differences(straight, options) == []
