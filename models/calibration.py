"""How much of a network's changes to keep, for each DCT coefficient of a JPEG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from models.weight_files import WeightsError, about

_KEY = "calibration"
_PLANES, _KINDS, _SIDE = 2, 2, 8
_MOST = 4.0  # a factor far beyond what least squares gives
_MOST_KNOTS = 100


@dataclass(frozen=True)
class Calibration:
    """Factors by which a network's changes of DCT coefficients come closest to the original's, in the mean.

    A network that was trained on pixels changes some frequencies too much and others too little. Least squares on
    photographs tell by how much (inference/calibrate.py); a Wiener filter of what the network changes.

    Attributes:
        steps: mean luma steps at which the factors were fitted, ascending: K of them.
        factors: float32 K×2×2×8×8: luma or chroma; coefficients that are zero in the file, or others; row and column.
        width: changes are first limited to this share of the cell, 1 being half a step to either side.
    """

    steps: tuple[float, ...]
    factors: np.ndarray
    width: float

    def at(self, step: float) -> np.ndarray:
        """The factors 2×2×8×8 at a mean luma step: interpolated over its logarithm, or those of the nearest end."""
        place = np.interp(np.log(max(step, 1.0)), np.log(self.steps), np.arange(len(self.steps)))
        low = min(int(place), len(self.steps) - 2)
        share = np.float32(place - low)
        mixed: np.ndarray = (1 - share) * self.factors[low] + share * self.factors[low + 1]
        return mixed

    def written(self) -> dict[str, Any]:
        """Plain data for the header of a weight file; factors with three decimals."""
        factors = [round(float(factor), 3) for factor in self.factors.ravel()]
        return {_KEY: {"steps": list(self.steps), "factors": factors, "width": self.width}}


def calibration_in(weights: Path) -> Calibration | None:
    """The calibration that a weight file holds beside the weights; None if it has none.

    Raises:
        WeightsError: the file is missing or damaged, or what it holds is no calibration.
    """
    said = about(weights).get(_KEY)
    if said is None:
        return None
    try:
        return _read(said)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"{weights}: its calibration cannot be used ({error}); take another copy") from None


def _read(said: Mapping[str, Any]) -> Calibration:
    steps = tuple(float(step) for step in said["steps"])
    if not 2 <= len(steps) <= _MOST_KNOTS or steps[0] < 1 or any(a >= b for a, b in pairwise(steps)):
        raise ValueError("steps are not 2 to 100 ascending numbers from 1")
    factors = np.array(said["factors"], np.float32).reshape(len(steps), _PLANES, _KINDS, _SIDE, _SIDE)
    width = float(said["width"])
    if not (np.isfinite(factors).all() and np.abs(factors).max() <= _MOST and 0 < width <= 1):
        raise ValueError(f"factors go beyond ±{_MOST:g}, or the width is not 0 to 1")
    return Calibration(steps, factors, width)
