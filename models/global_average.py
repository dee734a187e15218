"""The average over all pixels that channel attention takes, and how it is kept the same for all tiles of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

Sample = TypeVar("Sample")


class GlobalAverage(nn.AdaptiveAvgPool2d):
    """`N×C×h×w` → the mean of each channel, `N×C×1×1`; within `held_averages` that of samples of the whole image."""

    def __init__(self) -> None:
        super().__init__(1)
        self.samples = 0
        self.measuring = False
        self.held: list[Tensor] = []  # in the order of the calls of one forward pass
        self.calls = 0

    def forward(self, features: Tensor) -> Tensor:
        if self.measuring:
            mean = features.float().mean((0, 2, 3), keepdim=True)
            if self.samples == 0:
                self.held.append(mean)
            else:  # what the samples before have given counts already in this one
                mean = self.held[self.calls].lerp(mean, 1 / (self.samples + 1))
                self.held[self.calls] = mean
            self.calls += 1
        elif self.held:
            mean = self.held[self.calls % len(self.held)]
            self.calls += 1
        else:
            return super().forward(features)
        return mean.to(features.dtype).expand(len(features), -1, -1, -1)


@contextmanager
def held_averages(network: nn.Module, run: Callable[[Sample], object], samples: Iterable[Sample]) -> Iterator[None]:
    """Within: every `GlobalAverage` of `network` gives the mean of what it has met in the samples.

    Without this each tile of a large image is weighed by averages of its own, and seams show. The averages are taken
    over all images of a sample together, layer by layer: each layer sees what those before it make of all of them.

    Args:
        run: sends one sample through the network as later passes will: the same calls in the same order.
        samples: batches of parts, all of one shape, that cover the image evenly.
    """
    layers = [module for module in network.modules() if isinstance(module, GlobalAverage)]
    try:
        with torch.inference_mode():
            for number, sample in enumerate(samples):
                for layer in layers:
                    layer.measuring, layer.samples, layer.calls = True, number, 0
                run(sample)
        for layer in layers:
            layer.measuring, layer.calls = False, 0
        yield
    finally:
        for layer in layers:
            layer.measuring, layer.held, layer.calls = False, [], 0
