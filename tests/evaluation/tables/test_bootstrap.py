"""Intervals of a mean: against scipy's bootstrap, and what must hold."""

import numpy as np
import pytest
from scipy import stats

from evaluation.tables.bootstrap import interval

RNG = np.random.default_rng(3)
PSNR = RNG.normal(28, 3, (24, 2))


def test_scipys_bootstrap_gives_the_same_bounds():
    found = interval(PSNR)
    for column in (0, 1):
        theirs = stats.bootstrap((PSNR[:, column],), np.mean, n_resamples=10_000, method="percentile", rng=1)
        # Two draws of 10,000: the bounds' own error is about 0.02 here.
        np.testing.assert_allclose(found[:, column], theirs.confidence_interval, atol=0.1)


def test_the_same_images_are_drawn_for_every_model():
    np.testing.assert_array_equal(interval(PSNR), interval(PSNR))
    np.testing.assert_allclose(interval(PSNR + 1.5), interval(PSNR) + 1.5, atol=1e-9)
    np.testing.assert_array_equal(interval(PSNR[:, :1]), interval(PSNR)[:, :1])
    assert (interval(PSNR, seed=1) != interval(PSNR)).any()


def test_it_covers_the_mean_about_as_often_as_it_says():
    covered = 0
    for _ in range(60):
        low, high = interval(RNG.normal(0, 1, (30, 1)))[:, 0]
        covered += low <= 0 <= high
    assert 50 <= covered <= 60  # 57 expected; narrower than nominal for few images


def test_one_image_equal_images_and_infinite_figures():
    np.testing.assert_array_equal(interval(np.array([[28.5]])), [[28.5], [28.5]])
    np.testing.assert_allclose(interval(np.full((7, 1), 0.8)), [[0.8], [0.8]])
    low, high = interval(np.array([[30.0], [31.0], [np.inf]]))[:, 0]
    assert low == pytest.approx(30) and high == np.inf
