"""The exponential moving average of a generator's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models import Generator


def moving_average(generator: Generator, decay: float, made: Callable[[], int] | None = None) -> AveragedModel:
    """The average of the weights, to be updated after every iteration.

    Args:
        decay: share of the average that an update keeps.
        made: the iterations made so far, where the run ends by the clock and nobody knows how many there will be. The
            average then begins as a short one that grows with them, (1 + n) / (10 + n) up to `decay`, as TensorFlow's
            ExponentialMovingAverage. After ten iterations with 0.999 it would still hold the weights after the first.
    """

    def update(averages: Any, weights: Any, number: Any) -> None:
        kept = decay if made is None else min(decay, (1 + made()) / (10 + made()))
        get_ema_multi_avg_fn(kept)(averages, weights, number)

    average = AveragedModel(generator, multi_avg_fn=update)
    average.module.requires_grad_(False)
    return average
