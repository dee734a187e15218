"""Runs that end by the clock: the place is a function of the share of the time, and the end comes in time."""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import training.experiment
from benchmarks.soak import experiment, write_photos
from models.weight_files import read_tensors
from training.experiment import run_experiment, starting_generator
from training.loop.time_budget import TimeBudget
from training.loop.trainer import Trainer
from training.options import TrainOptions
from training.run_folder import RunFolder, read_checkpoint
from utils.options import OptionsError, load

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def runtime(ranks=1, device=CPU, compiles=False):
    return SimpleNamespace(ranks=ranks, device=device, options=SimpleNamespace(compile=compiles))


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self):
        return self.now


def budget(minutes=1.0, iterations=(300, 100), **of_runtime):
    clock = Clock()
    return TimeBudget(minutes, iterations, runtime(**of_runtime), clock), clock


def iterate(made, clock, seconds, number=1):
    clock.now += seconds
    made.after_iteration(number)
    return made.place


def test_stages_share_the_time_in_proportion_to_their_iterations():
    made, _ = budget()
    assert [made.window(stage) for stage in (0, 1)] == [(0, 45), (45, 60)]


def test_the_place_is_the_share_of_the_time_that_is_spent():
    made, clock = budget()
    made.begin(0)
    assert [iterate(made, clock, 3) for _ in range(4)] == [20, 40, 60, 80]


def test_a_stage_ends_before_an_iteration_and_its_ending_would_pass_its_time():
    made, clock = budget()
    made.begin(0)
    made.after_ending(8.0)  # 10 seconds are kept: 35 are left for iterations
    assert [iterate(made, clock, 3) for _ in range(11)] == [*(int(300 * 3 * k / 35) for k in range(1, 11)), 300]


def test_what_a_stage_left_over_is_given_up_and_what_it_took_too_much_is_taken_from_the_next():
    made, clock = budget()
    made.begin(0)
    clock.now += 40
    made.begin(1)
    assert made.place == 0 and made.elapsed == 45
    made, clock = budget()
    made.begin(0)
    clock.now += 52.5
    made.begin(1)
    assert made.place == 50


def test_a_stage_has_time_where_ten_iterations_of_the_last_duration_fit():
    made, clock = budget()
    made.begin(0)
    assert made.fits()  # nothing was timed
    iterate(made, clock, 1.4)
    clock.now += 43.6
    made.begin(1)
    assert made.fits()
    clock.now += 2
    assert not made.fits()
    made.skip()
    assert made.place == 100


def test_a_run_ends_after_the_first_iteration_where_it_took_too_long_for_ten():
    made, clock = budget()
    made.begin(0)
    assert made.each is None and iterate(made, clock, 4.5) == 300
    made, clock = budget()
    made.begin(0)
    assert iterate(made, clock, 4) == 26


def test_iterations_are_made_at_the_places_that_they_reach_the_last_at_the_end():
    made, clock = budget(iterations=(300,))
    made.begin(0)
    reached = []
    while iterate(made, clock, 5) < 300:
        reached.append(made.reached)
    assert reached == [*range(50, 251, 25), 300]


def test_the_first_iteration_of_a_second_stage_is_expected_to_take_as_long_as_the_last():
    made, clock = budget(iterations=(200, 200))
    made.begin(0)
    while iterate(made, clock, 2.5) < 200:
        pass
    clock.now += 3
    made.begin(1)
    assert made.reached == 20


def test_what_a_validation_takes_counts_for_the_coming_iteration():
    made, clock = budget(iterations=(300,))
    made.begin(0)
    assert iterate(made, clock, 5) == 25
    clock.now += 38
    made.after_ending(8.0)  # 10 seconds are kept: 50 are left, of which 43 are over
    assert (made.place, made.reached) == (25, 300)


@pytest.mark.parametrize("of_runtime", [{"device": CUDA}, {"compiles": True}])
def test_the_first_iteration_is_no_measure_where_it_compiles_and_chooses_kernels(of_runtime):
    made, clock = budget(iterations=(300,), **of_runtime)
    made.begin(0)
    assert iterate(made, clock, 40) == 200  # another one as long would be too much
    assert iterate(made, clock, 1) == 205 and made.reached == 210


def test_a_resume_goes_on_with_the_time_that_is_left():
    made, clock = budget()
    made.begin(0)
    made.after_ending(2.0)
    iterate(made, clock, 2)
    place = iterate(made, clock, 18)
    state = made.state()
    later, clock = budget()
    clock.now += 1000  # before it is resumed
    later.resume(state, 0)
    assert (later.place, later.ending, later.elapsed) == (place, 2.0, 20)
    longer, _ = budget(minutes=2.0)
    longer.resume(state, 0)
    assert longer.place == int(300 * 20 / (90 - 2.5))


def test_a_stage_that_is_over_stays_over():
    made, clock = budget()
    made.begin(0)
    assert iterate(made, clock, 30) == 300  # ten of 30 seconds would be too many
    later, _ = budget()
    later.resume(made.state(), 0)
    assert later.place == 300


@given(
    st.lists(st.floats(0, 20), max_size=30), st.floats(0.1, 3), st.lists(st.integers(1, 500), min_size=1, max_size=4)
)
def test_the_place_never_goes_back_nor_beyond(steps, minutes, iterations):
    made, clock = budget(minutes, iterations)
    for stage in range(len(iterations)):
        made.begin(stage)
        places = [made.place]
        for number, step in enumerate(steps, 1):
            if made.place == iterations[stage]:
                break
            places.append(iterate(made, clock, step, number))
        assert places == sorted(places) and 0 <= places[0] < iterations[stage] and places[-1] <= iterations[stage]


def test_processes_agree_every_few_iterations():
    clock, told = Clock(), []

    class Two(TimeBudget):
        def _of_main(self, values):
            told.append(values)
            return [30.0, 0.0, 0.0]

    made = Two(1.0, [600], runtime(ranks=2), clock)
    made.begin(0)
    for number in range(1, 21):
        made.after_iteration(number)
    assert made.place == 300 and len(told) == 4  # at the beginning, after 1, 10 and 20


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
