"""Bjøntegaard's differences between two rate–distortion curves: BD-rate and BD-PSNR.

Source: G. Bjøntegaard, Calculation of average PSNR differences between RD-curves, ITU-T VCEG-M33, 2001; with piecewise
cubic Hermite interpolation as in the JVET common test conditions (JVET-T2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from utils.errors import UserError
from utils.section import Section

Interpolation = Literal["pchip", "cubic"]
_Points = tuple["np.ndarray | Sequence[float]", "np.ndarray | Sequence[float]"]
LEAST_POINTS = 4
"""Points that a curve must have: as many as a cubic has coefficients."""


class BdOptions(Section):
    """Bjøntegaard's differences of all rows against one, for sets with four or more qualities of a codec."""

    against: str = Field(min_length=1)
    """The row that the others are compared with: a model's name."""
    interpolation: Interpolation = "pchip"
    """`pchip`: piecewise, as the JVET test conditions; `cubic`: one polynomial of third degree, as in VCEG-M33."""


class BjontegaardError(UserError):
    """Two curves that have no Bjøntegaard difference."""


@dataclass(frozen=True)
class Curve:
    """Rates (bits per pixel or any other unit, above 0) and the quality at each (PSNR in dB), in any order."""

    rates: Sequence[float]
    quality: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.quality) or len(self.rates) < LEAST_POINTS:
            raise BjontegaardError(
                f"a curve of {len(self.rates)} rates and {len(self.quality)} qualities: "
                f"{LEAST_POINTS} points or more are needed"
            )
        if not np.isfinite([*self.rates, *self.quality]).all() or min(self.rates) <= 0:
            raise BjontegaardError("a rate that is not above 0, or a value that is not finite")


def bd_rate(anchor: Curve, test: Curve, interpolation: Interpolation = "pchip") -> float:
    """Mean difference in rate at equal quality, in percent of the anchor's: −10 means that `test` needs a tenth less.

    The logarithm of the rate is integrated over the qualities that both curves reach.

    Args:
        interpolation: `pchip` goes through all points and never overshoots; `cubic` is Bjøntegaard's own, one
            polynomial of third degree by least squares.

    Raises:
        BjontegaardError: curves that share no quality; for `pchip` also one whose quality does not rise with its rate.
    """
    of_anchor, of_test = ((curve.quality, np.log10(curve.rates)) for curve in (anchor, test))
    return float((10 ** _mean_difference(of_anchor, of_test, interpolation, "quality") - 1) * 100)


def bd_psnr(anchor: Curve, test: Curve, interpolation: Interpolation = "pchip") -> float:
    """Mean difference in quality at equal rate, in dB: 0.5 means that `test` lies half a decibel higher.

    Integrated over the logarithm of the rates that both curves cover. Arguments and errors as `bd_rate`.
    """
    of_anchor, of_test = ((np.log10(curve.rates), curve.quality) for curve in (anchor, test))
    return _mean_difference(of_anchor, of_test, interpolation, "rate")


def _mean_difference(anchor: _Points, test: _Points, interpolation: Interpolation, what: str) -> float:
    curves = []
    for across, up in (anchor, test):
        order = np.argsort(across)
        x, y = np.asarray(across, np.float64)[order], np.asarray(up, np.float64)[order]
        if (np.diff(x) <= 0).any():
            raise BjontegaardError(f"two points of one curve have the same {what}")
        if interpolation == "pchip" and (np.diff(y) <= 0).any():
            raise BjontegaardError("the quality does not rise with the rate at every point of a curve")
        curves.append((x, y))
    low = max(x[0] for x, _ in curves)
    high = min(x[-1] for x, _ in curves)
    if low >= high:
        raise BjontegaardError(f"the curves share no {what}")
    of_anchor, of_test = (_integral(x, y, low, high, interpolation) for x, y in curves)
    return float((of_test - of_anchor) / (high - low))


def _integral(x: np.ndarray, y: np.ndarray, low: float, high: float, interpolation: Interpolation) -> float:
    if interpolation == "cubic":
        primitive = np.polynomial.Polynomial.fit(x, y, 3).integ()
        return float(primitive(high) - primitive(low))
    from scipy.interpolate import PchipInterpolator  # a third of a second, and few evaluations ask for it

    return float(PchipInterpolator(x, y).integrate(low, high))
