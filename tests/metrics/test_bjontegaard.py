"""Bjøntegaard's differences against the figures of another implementation, and what must always hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.bjontegaard import BjontegaardError, Curve, bd_psnr, bd_rate

# The examples of two public implementations (github.com/FAU-LMS/bjontegaard, github.com/Anserw/Bjontegaard_metric); the
# figures are what the package bjontegaard 1.3.0 gives, which equals JVET-T2010's sheet in all decimals that it prints.
X265 = (
    Curve((9487.76, 4593.60, 2486.44, 1358.24), (40.037, 38.615, 36.845, 34.851)),
    Curve((9787.80, 4469.00, 2451.52, 1356.24), (40.121, 38.651, 36.970, 34.987)),
)
SAMPLE = (
    Curve((686.76, 309.58, 157.11, 85.95), (40.28, 37.18, 34.24, 31.42)),
    Curve((893.34, 407.8, 204.93, 112.75), (40.39, 37.21, 34.17, 31.24)),
)


@pytest.mark.parametrize(
    ("curves", "interpolation", "rate", "psnr"),
    [
        (X265, "cubic", -4.4204627061, 0.1204094191),
        (X265, "pchip", -4.4174853506, 0.1196927854),
        (SAMPLE, "cubic", 31.3973740549, -1.1848979218),
        (SAMPLE, "pchip", 31.3798782024, -1.1834724046),
    ],
)
def test_public_examples(curves, interpolation, rate, psnr):
    assert bd_rate(*curves, interpolation) == pytest.approx(rate, abs=1e-8)
    assert bd_psnr(*curves, interpolation) == pytest.approx(psnr, abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.3, 4)), min_size=4, max_size=7),
    factor=st.floats(0.8, 1.25),
    gain=st.floats(-0.1, 0.1),
    interpolation=st.sampled_from(["pchip", "cubic"]),
)
def test_a_curve_moved_by_a_factor_or_by_decibels_differs_by_just_that(steps, factor, gain, interpolation):
    rates, psnr = 0.2 * 2 ** np.cumsum([rate for rate, _ in steps]), 25 + np.cumsum([gain for _, gain in steps])
    if interpolation == "cubic" and len(steps) > 4:  # then no curve goes through its points: nothing exact to expect
        rates, psnr = rates[:4], psnr[:4]
    anchor = Curve(list(rates), list(psnr))
    cheaper = Curve(list(rates * factor), list(psnr))
    assert bd_rate(anchor, cheaper, interpolation) == pytest.approx(100 * (factor - 1), abs=1e-6)
    better = Curve(list(rates), list(psnr + gain))
    assert bd_psnr(anchor, better, interpolation) == pytest.approx(gain, abs=1e-6)
    there = bd_rate(anchor, better, interpolation)
    back = bd_rate(better, anchor, interpolation)
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1, abs=1e-6)


def test_the_order_of_points_is_nothing():
    mixed = [Curve([c.rates[i] for i in (2, 0, 3, 1)], [c.quality[i] for i in (2, 0, 3, 1)]) for c in X265]
    assert bd_rate(*mixed) == bd_rate(*X265)


@pytest.mark.parametrize(
    ("rates", "quality", "why"),
    [
        ((1, 2, 3), (30, 31, 32), "4 points"),
        ((1, 2, 3, 0), (30, 31, 32, 33), "above 0"),
        ((1, 2, 3, 4), (30, 31, 32, float("nan")), "finite"),
        ((1, 2, 3, 4), (50, 51, 52, 53), "share no quality"),
        ((1, 2, 3, 4), (30, 31, 31, 33), "the same quality"),
        ((1, 2, 3, 4), (30, 32, 31, 33), "does not rise"),
    ],
)
def test_curves_without_a_difference_say_why(rates, quality, why):
    with pytest.raises(BjontegaardError, match=why):
        bd_rate(Curve((1, 2, 3, 4), (30, 31, 32, 33)), Curve(rates, quality))
