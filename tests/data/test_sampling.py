"""Samples are a function of (seed, k): never of workers, ranks or where a run was taken up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sampling import IterationSampler, image_of_sample, sample_generator


@given(seed=st.integers(0, 2**63 - 1), count=st.integers(1, 50), epoch=st.integers(0, 1000))
def test_every_image_comes_once_in_an_epoch(seed, count, epoch):
    drawn = [image_of_sample(seed, epoch * count + place, count) for place in range(count)]
    assert sorted(drawn) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {
        tuple(image_of_sample(seed, epoch * 20 + k, 20) for k in range(20)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_random_numbers_belong_to_the_sample():
    first = sample_generator(3, 5).random(4)
    np.testing.assert_array_equal(first, sample_generator(3, 5).random(4))
    assert not np.array_equal(first, sample_generator(3, 6).random(4))
    assert not np.array_equal(first, sample_generator(4, 5).random(4))


@given(
    ranks=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    share=st.integers(1, 3),
    start=st.integers(0, 50),
    length=st.integers(0, 4),
)
def test_ranks_and_micro_batches_share_each_iteration_out(ranks, accumulate, share, start, length):
    batch = ranks * accumulate * share
    samplers = [IterationSampler(start, start + length, batch, accumulate, rank, ranks) for rank in range(ranks)]
    assert all(len(list(sampler)) == len(sampler) == length * accumulate for sampler in samplers)
    drawn = sorted(k for sampler in samplers for ks in sampler for k in ks)
    assert drawn == list(range(start * batch, (start + length) * batch))


def test_a_resumed_sampler_goes_on_where_the_other_would():
    whole = list(IterationSampler(0, 10, 4, 2))
    assert whole[12:] == list(IterationSampler(6, 10, 4, 2))


def test_a_stage_goes_on_behind_the_samples_of_the_one_before():
    assert list(IterationSampler(1, 3, 4, 2, first=100)) == [[104, 105], [106, 107], [108, 109], [110, 111]]


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        IterationSampler(0, 1, 9, 2, 0, 2)
