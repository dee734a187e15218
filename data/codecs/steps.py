"""What happens to a picture between two encodings: it is cropped, resized, or shrunk to a longest side.

jpeg30>shift4,4>jpeg50         the second encoder's blocks lie 4 rows and 4 columns off the first one's
jpeg80>resize0.5>jpeg70        the second encoder is given a picture of half the size
longest1080>jpeg70             the encoder is given a picture of at most 1080 rows and 1080 columns
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from data.codecs.base import CodecError, Range
from data.resize import imresize

MOST_SHIFTED = 63  # pixels: one less than HEVC's largest block


@dataclass(frozen=True)
class Shift:
    """So many rows and columns are cut off at the top and the left, as if a photo were cropped before it is posted
    again: the blocks of the encoder before it then lie at another place than those of the one behind.

    What is cut off was put there before the first encoder, a repetition of the edge, so the picture keeps its size and
    place, and the last file's blocks begin at its corner. Either number may be a range.
    """

    down: int | Range
    right: int | Range

    def __post_init__(self) -> None:
        for distance in (self.down, self.right):
            low, high = (distance.low, distance.high) if isinstance(distance, Range) else (distance, distance)
            if low > high or (isinstance(distance, Range) and low == high):
                raise CodecError("a range goes from the lower to the higher number")
            if high > MOST_SHIFTED:
                raise CodecError(f"a shift goes from 0 to {MOST_SHIFTED} pixels")

    def __str__(self) -> str:
        return f"shift{self.down},{self.right}"

    @property
    def is_range(self) -> bool:
        """Whether one of the two is."""
        return isinstance(self.down, Range) or isinstance(self.right, Range)

    def draw(self, rng: np.random.Generator) -> Shift:
        """The shift with its ranges drawn from."""
        drawn = [
            int(rng.integers(distance.low, distance.high, endpoint=True)) if isinstance(distance, Range) else distance
            for distance in (self.down, self.right)
        ]
        return Shift(*drawn)

    def describe(self) -> str:
        """As `Codec.describe`."""
        return f"{self.down} rows and {self.right} columns cut off"


class Sizing(ABC):
    """A step that changes the picture's size, by MATLAB's bicubic `imresize`; what follows works on that size."""

    @property
    def is_range(self) -> bool:
        """Whether a factor must be drawn first."""
        return False

    @property
    @abstractmethod
    def least(self) -> float | None:
        """The smallest factor that it resizes by; None where that depends on the picture."""

    @abstractmethod
    def factor(self, height: int, width: int) -> float:
        """What a picture of this size is resized by."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Sizing:
        """The step with its range drawn from."""

    @abstractmethod
    def describe(self) -> str:
        """As `Codec.describe`."""


@dataclass(frozen=True)
class Resize(Sizing):
    """By a factor from `low` to `high`, decimal numbers of at most three places."""

    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        if not Decimal("0.1") <= self.low <= self.high <= 4:
            raise CodecError("a resize goes from 0.1 to 4, a range of it from the lower to the higher number")
        if self.low == self.high == 1:
            raise CodecError("a resize by 1 is none")

    def __str__(self) -> str:
        return f"resize{self.low}..{self.high}" if self.is_range else f"resize{self.low}"

    @property
    def is_range(self) -> bool:
        return self.low < self.high

    @property
    def least(self) -> float:
        return float(self.low)

    def factor(self, height: int, width: int) -> float:
        return float(self.low)

    def draw(self, rng: np.random.Generator) -> Resize:
        """In thousandths; 1 would be no resize, and its neighbour in the range stands for it."""
        if not self.is_range:
            return self
        thousandths = int(rng.integers(int(self.low * 1000), int(self.high * 1000), endpoint=True))
        if thousandths == 1000:
            thousandths += 1 if self.low == 1 else -1
        drawn = Decimal(thousandths) / 1000
        return Resize(drawn, drawn)

    def describe(self) -> str:
        return f"resized by {self.low} (MATLAB's bicubic)"


@dataclass(frozen=True)
class Longest(Sizing):
    """To so many rows or columns, whichever are more; a smaller picture stays as it is."""

    side: int

    def __post_init__(self) -> None:
        if not 16 <= self.side <= 65_000:
            raise CodecError("a longest side goes from 16 to 65000 pixels")

    def __str__(self) -> str:
        return f"longest{self.side}"

    @property
    def least(self) -> None:
        return None

    def factor(self, height: int, width: int) -> float:
        longest = max(height, width)
        if longest <= self.side:
            return 1.0
        factor = self.side / longest
        # A product that rounding has put above the side would be rounded up to the next pixel.
        return factor if math.ceil(longest * factor) == self.side else math.nextafter(factor, 0)

    def draw(self, rng: np.random.Generator) -> Longest:
        return self

    def describe(self) -> str:
        return f"shrunk to a longest side of {self.side} (MATLAB's bicubic)"


def resized(image: np.ndarray, factor: float) -> np.ndarray:
    """uint8 h×w×3 by MATLAB's `imresize`; the same image where the factor is 1."""
    return image if factor == 1 else imresize(image, factor)


def size_after(height: int, width: int, factor: float) -> tuple[int, int]:
    """The size of what `resized` returns."""
    return math.ceil(height * factor), math.ceil(width * factor)


_DISTANCE = r"(0|[1-9][0-9]?)(?:\.\.([1-9][0-9]?))?"
_FACTOR = r"((?:0|[1-9])(?:\.[0-9]{0,2}[1-9])?)"
_SHIFT = re.compile(rf"shift{_DISTANCE},{_DISTANCE}")
_RESIZE = re.compile(rf"resize{_FACTOR}(?:\.\.{_FACTOR})?")
_LONGEST = re.compile(r"longest([1-9][0-9]{1,4})")


def parse_step(text: str) -> Shift | Sizing | None:
    """The shift or resize that `text` writes, None for anything else. Raises CodecError for impossible numbers."""
    if match := _SHIFT.fullmatch(text):
        down, last_down, right, last_right = match.groups()
        return Shift(
            *(int(a) if b is None else Range(int(a), int(b)) for a, b in ((down, last_down), (right, last_right)))
        )
    if match := _RESIZE.fullmatch(text):
        if match[1] == match[2]:
            raise CodecError("a range goes from the lower to the higher number")
        return Resize(Decimal(match[1]), Decimal(match[2] or match[1]))
    if match := _LONGEST.fullmatch(text):
        return Longest(int(match[1]))
    return None
