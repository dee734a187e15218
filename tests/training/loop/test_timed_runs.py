"""Whole runs that end by the clock: what they validate, export and keep, and which learning rates they have."""

import math
from functools import partial

import pytest
import torch

import training.experiment
from benchmarks.soak import experiment, write_photos
from models.weight_files import read_tensors
from tests.training.loop.clock import Clock
from training.experiment import run_experiment, starting_generator
from training.loop.time_budget import TimeBudget
from training.loop.trainer import Trainer
from training.options import TrainOptions
from training.run_folder import RunFolder, read_checkpoint
from utils.options import OptionsError, load


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("budget") / "photos")


def options_of(photos, folder, *overrides):
    path = experiment("coarse_to_fine", folder, photos, 100, checkpoint={"every": 50}, validation={"every": 25})
    return load(path, TrainOptions, ["runtime.minutes=0.1", "data.train.workers=0", *overrides])


@pytest.fixture
def slow(monkeypatch):
    """Makes runs of so many seconds for an iteration; nothing else takes time. Gives the learning rates of all."""

    def make(seconds):
        clock, rates, iterate = Clock(), [], Trainer.iterate

        def timed(trainer, micro_batches):
            clock.now += seconds
            iterate(trainer, micro_batches)
            rates.append(trainer.recipe.optimizers["generator"].param_groups[0]["lr"])

        monkeypatch.setattr(training.experiment, "TimeBudget", partial(TimeBudget, clock=clock))
        monkeypatch.setattr(Trainer, "iterate", timed)
        return rates

    return make


def test_a_run_of_two_stages_ends_in_time_with_weights_validated_at_shares_of_it(photos, tmp_path, slow):
    slow(0.21)
    options = options_of(photos, tmp_path / "a")
    assert run_experiment(options, None) == 0
    folders = [RunFolder(options.folder / stage.name) for stage in options.stages]
    states = [read_checkpoint(folder.checkpoint(folder.iterations()[-1])) for folder in folders]
    assert [state["budget"]["place"] for state in states] == [100, 100]
    assert states[1]["budget"]["elapsed"] <= 6 and [state["iteration"] for state in states] == [14, 14]
    for folder, state in zip(folders, states):
        assert folder.best.is_file() and folder.last.is_file()
        log = (folder.folder / "train.log").read_text()
        assert f"iteration {state['iteration']}: photos" in log
    assert "iteration 0: photos" in (folders[0].folder / "train.log").read_text()
    assert run_experiment(options, "auto") == 0
    assert [folder.iterations()[-1] for folder in folders] == [state["iteration"] for state in states]


def test_learning_rates_follow_the_time(photos, tmp_path, slow):
    rates = slow(0.24)
    options = options_of(photos, tmp_path / "a", "stages.1.schedule.type=constant")
    assert run_experiment(options, None) == 0
    base = options.stages[0].optimizer.lr
    cosine = [base * 0.5 * (1 + math.cos(math.pi * place)) for place in (*(0.08 * n for n in range(2, 12)), 1)]
    assert rates[0] == 0  # only timed
    assert rates[1:12] == pytest.approx(cosine, abs=0.02 * base) and rates[12:] == [base] * 12


def test_a_stage_without_time_for_ten_iterations_keeps_its_weights_and_so_does_the_next(photos, tmp_path, slow):
    rates = slow(0.5)
    options = options_of(photos, tmp_path / "a", "stages.0.schedule.type=constant")  # 3 seconds for each of two stages
    assert run_experiment(options, None) == 0
    assert rates == [0]
    torch.manual_seed(options.seed)
    before = starting_generator(options).state_dict()
    for stage in options.stages:
        folder = options.folder / stage.name
        after = read_tensors(folder / "last.safetensors")
        assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
        assert (folder / "best.safetensors").is_file()
        assert "no time for 10 iterations; it keeps the weights" in (folder / "train.log").read_text()
    assert run_experiment(options, "auto") == 0 and len(rates) == 1


def test_a_warm_up_counts_iterations_however_long_they_take(photos, tmp_path, slow):
    rates = slow(0.24)
    options = options_of(photos, tmp_path / "a", "stages.0.schedule.warmup=19")
    assert run_experiment(options, None) == 0
    base = options.stages[0].optimizer.lr
    assert rates[1:6] == pytest.approx([0.1 * base, 0.15 * base, 0.2 * base, 0.25 * base, 0.3 * base])
    assert max(rates[:12]) < 0.5 * base and rates[11] == 0  # the cosine


def test_a_run_of_few_iterations_exports_an_average_of_them_and_not_the_first(photos, tmp_path, slow):
    slow(0.24)
    options = options_of(photos, tmp_path / "a", "stages.0.ema=0.999", "stages.0.validation.every=100")
    assert run_experiment(options, None) == 0
    folder = RunFolder(options.folder / options.stages[0].name)
    state = read_checkpoint(folder.checkpoint(folder.iterations()[-1]))
    torch.manual_seed(options.seed)
    start, last = starting_generator(options).state_dict(), state["networks"]["generator"]
    moved, left = (sum(float((a - b[name]).square().sum()) for name, a in state["ema"].items()) for b in (start, last))
    assert state["iteration"] == 12 and left < 0.2 * moved


def test_the_weights_that_a_stage_begins_with_are_ranked_too(photos, tmp_path, slow):
    slow(0.24)
    options = options_of(photos, tmp_path / "a", "start=interpolation", "stages.1.optimizer.lr=0.05")
    assert run_experiment(options, None) == 0  # twelve iterations in each stage, which ruin the second one's weights
    first, second = (options.folder / stage.name for stage in options.stages)
    best, before = (read_tensors(path) for path in (second / "best.safetensors", first / "last.safetensors"))
    assert best.keys() == before.keys() and all(torch.equal(best[name], before[name]) for name in best)


def test_a_run_killed_in_its_last_validation_makes_it_when_it_is_resumed(photos, tmp_path, slow, monkeypatch):
    slow(2)
    options = options_of(photos, tmp_path / "a")
    validate = Trainer._validate

    def killed(trainer, *arguments, **keywords):
        if trainer.iteration:
            raise KeyboardInterrupt
        validate(trainer, *arguments, **keywords)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Trainer, "_validate", killed)
        run_experiment(options, None)
    folder = options.folder / options.stages[0].name
    log = folder / "train.log"
    assert "iteration 1: photos" not in log.read_text() and RunFolder(folder).iterations()[-1] == 1
    assert run_experiment(options, "auto") == 0
    assert "iteration 1: photos" in log.read_text()


def test_what_counts_iterations_for_good_is_refused(photos, tmp_path):
    with pytest.raises(OptionsError, match="keep_every counts iterations"):
        options_of(photos, tmp_path / "a", "stages.0.checkpoint.keep_every=10")
