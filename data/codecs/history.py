"""The histories of photos that were posted again and again: encodings in random number and order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.codecs.base import Codec
from data.codecs.chain import Chain
from data.codecs.steps import Shift, Sizing


@dataclass(frozen=True)
class History:
    """What chains are drawn from.

    Attributes:
        codecs: each encoding is one of them, with equal probability.
        encodings: chances of one, two, three … encodings, relative to each other.
        resize, resize_chance: a resize before one of the encodings, the first included.
        shift, shift_chance: rows and columns cut off before each encoding that has another one right before it.
    """

    codecs: tuple[Codec, ...]
    encodings: tuple[float, ...]
    resize: Sizing | None = None
    resize_chance: float = 0.0
    shift: Shift | None = None
    shift_chance: float = 0.0

    def draw(self, rng: np.random.Generator) -> Codec:
        """A codec, or a chain of them, without ranges."""
        limits = np.cumsum(self.encodings)
        count = 1 + int(np.searchsorted(limits, rng.random() * limits[-1], side="right"))
        resized = int(rng.integers(count)) if self.resize and rng.random() < self.resize_chance else None
        steps: list[Codec | Shift | Sizing] = []
        for place in range(count):
            if place == resized and self.resize:
                steps.append(self.resize.draw(rng))
            elif place and self.shift and rng.random() < self.shift_chance:
                steps.append(self.shift.draw(rng))
            steps.append(self.codecs[int(rng.integers(len(self.codecs)))].draw(rng))
        return steps[0] if len(steps) == 1 and isinstance(steps[0], Codec) else Chain(tuple(steps))
