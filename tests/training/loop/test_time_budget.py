"""The budget of a run by the clock: the place is a function of the share of the time, and the end comes in time."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.loop.clock import Clock
from training.loop.time_budget import TimeBudget

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def runtime(ranks=1, device=CPU, compiles=False):
    return SimpleNamespace(ranks=ranks, device=device, options=SimpleNamespace(compile=compiles))


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
