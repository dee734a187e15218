"""Runs that end by the clock: the place is a function of the share of the time, and the end comes in time."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak import experiment, write_photos
from training.experiment import run_experiment
from training.loop.time_budget import TimeBudget
from training.options import TrainOptions
from training.run_folder import RunFolder, read_checkpoint
from utils.options import OptionsError, load

ALONE = SimpleNamespace(ranks=1)


class Clock:
    """Seconds that pass when they are told to."""

    now = 100.0

    def __call__(self):
        return self.now


def budget(minutes=1.0, iterations=(300, 100)):
    clock = Clock()
    return TimeBudget(minutes, iterations, ALONE, clock), clock


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
    assert [iterate(made, clock, 4.5) for _ in range(4)] == [30, 60, 90, 120]


def test_a_stage_ends_before_an_iteration_and_its_ending_would_pass_its_time():
    made, clock = budget()
    made.begin(0)
    made.after_ending(8.0)  # 10 seconds are kept: 35 are left for iterations
    assert [iterate(made, clock, 10) for _ in range(3)] == [int(300 * 10 / 35), int(300 * 20 / 35), 300]


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


def test_a_stage_without_time_has_one_iteration_left():
    made, clock = budget()
    clock.now += 100
    made.begin(1)
    assert made.place == 99
    assert iterate(made, clock, 1) == 100


def test_a_resume_goes_on_with_the_time_that_is_left():
    made, clock = budget()
    made.begin(0)
    made.after_ending(2.0)
    place = iterate(made, clock, 20)
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
    assert iterate(made, clock, 30) == 300  # another one of 30 seconds would be too long
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

    made = Two(1.0, [600], SimpleNamespace(ranks=2), clock)
    made.begin(0)
    for number in range(1, 21):
        made.after_iteration(number)
    assert made.place == 300 and len(told) == 3


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("budget") / "photos")


def options_of(photos, folder, *overrides):
    path = experiment("coarse_to_fine", folder, photos, 100, checkpoint={"every": 50}, validation={"every": 25})
    return load(path, TrainOptions, ["runtime.minutes=0.1", "data.train.workers=0", *overrides])


def test_a_run_of_two_stages_ends_in_time_with_weights_validated_at_shares_of_it(photos, tmp_path):
    options = options_of(photos, tmp_path / "a")
    assert run_experiment(options, None) == 0
    folders = [RunFolder(options.folder / stage.name) for stage in options.stages]
    states = [read_checkpoint(folder.checkpoint(folder.iterations()[-1])) for folder in folders]
    assert [state["budget"]["place"] for state in states] == [100, 100]
    assert states[1]["budget"]["elapsed"] < 9  # of 6; an image may take longer than the last time on a busy machine
    for folder, state in zip(folders, states):
        assert folder.best.is_file() and folder.last.is_file()
        log = (folder.folder / "train.log").read_text()
        assert f"iteration {state['iteration']}: photos" in log
    assert "iteration 0: photos" in (folders[0].folder / "train.log").read_text()
    assert run_experiment(options, "auto") == 0
    assert [folder.iterations()[-1] for folder in folders] == [state["iteration"] for state in states]


def test_learning_rates_follow_the_time(photos, tmp_path):
    options = options_of(photos, tmp_path / "a", "stages.0.log_every=1", "stages.1.log_every=1")
    assert run_experiment(options, None) == 0
    log = (options.folder / "stage0" / "train.log").read_text()
    rates = [float(line.split(" lr ")[1].split(",")[0]) for line in log.splitlines() if " lr " in line]
    assert rates[0] > 0.9e-3 and rates == sorted(rates, reverse=True)
    assert len(rates) < 20 or rates[-1] < 0.2e-3  # a busy machine may have time for very few iterations


def test_what_counts_iterations_for_good_is_refused(photos, tmp_path):
    with pytest.raises(OptionsError, match="keep_every counts iterations"):
        options_of(photos, tmp_path / "a", "stages.0.checkpoint.keep_every=10")
