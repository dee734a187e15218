"""Learning rates are functions of the iteration alone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.optimization import ConstantSchedule, CosineSchedule, MultiStepSchedule


def test_constant():
    assert {ConstantSchedule().factor(i, 10) for i in range(10)} == {1.0}


def test_multistep_drops_at_its_milestones():
    schedule = MultiStepSchedule(milestones=(3, 5), gamma=0.1)
    assert [schedule.factor(i, 10) for i in (0, 2, 3, 4, 5, 9)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_warms_up_and_ends_at_its_final_factor():
    schedule = CosineSchedule(warmup=4, final=0.1)
    assert [schedule.factor(i, 104) for i in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert schedule.factor(4, 104) == pytest.approx(1.0)
    assert schedule.factor(54, 104) == pytest.approx(0.55)
    assert schedule.factor(103, 104) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * 0.99)))


@given(iterations=st.integers(1, 10_000), warmup=st.integers(0, 100), final=st.floats(0, 1))
def test_cosine_stays_between_its_ends(iterations, warmup, final):
    schedule = CosineSchedule(warmup=warmup, final=final)
    factors = [schedule.factor(i, iterations) for i in (0, iterations // 2, iterations - 1)]
    assert all(0 < factor <= 1 or factor >= final for factor in factors)


@pytest.mark.parametrize("milestones", [(), (5, 3), (3, 3), (0, 2)])
def test_milestones_ascend(milestones):
    with pytest.raises(ValueError, match=r"milestones|at least 1"):
        MultiStepSchedule(milestones=milestones)
