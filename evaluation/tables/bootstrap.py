"""Confidence intervals of a mean over images: the percentile bootstrap."""

from __future__ import annotations

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
_AT_ONCE = 1 << 22  # indices drawn at once: 32 MiB


def interval(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """Lower and upper bound of the mean of each column, by the percentile bootstrap (Efron 1979), level 95 %.

    The images are drawn with replacement `RESAMPLES` times; the bounds are the 2.5 % and 97.5 % quantiles of the means,
    rounded outwards to the nearest resample. All columns share the drawn images, as do calls with the same seed and
    number of images, so that intervals of two models on one set differ only by the models. With one image both bounds
    are its value.

    Args:
        values: images × columns.

    Returns:
        2 × columns.
    """
    values = np.asarray(values, dtype=np.float64)
    images = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, values.shape[1]))
    step = max(1, _AT_ONCE // images)
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        drawn = rng.integers(images, size=(count, images))
        for column in range(values.shape[1]):
            means[start : start + count, column] = values[drawn, column].mean(axis=1)
    means.sort(axis=0)
    outside = int((1 - LEVEL) / 2 * RESAMPLES)
    return means[[outside, RESAMPLES - 1 - outside]]
