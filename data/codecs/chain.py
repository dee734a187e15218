"""Several compressions one after the other, with what happens to a picture between them: a shift or a resize.

jpeg30>shift4,4>jpeg50         the second encoder's blocks lie 4 rows and 4 columns off the first one's
jpeg80>resize0.5>jpeg70        the second encoder is given a picture of half the size
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from data.codecs.base import Codec, CodecError, Range
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


@dataclass(frozen=True)
class Resize:
    """MATLAB's bicubic `imresize` by `factor`, a decimal number as text: what follows works on that size."""

    factor: str

    def __post_init__(self) -> None:
        if not 0.1 <= float(self.factor) <= 4 or float(self.factor) == 1:
            raise CodecError("a resize goes from 0.1 to 4, and 1 is none")

    def __str__(self) -> str:
        return f"resize{self.factor}"

    is_range = False

    def draw(self, _rng: np.random.Generator) -> Resize:
        """Itself."""
        return self

    def describe(self) -> str:
        """As `Codec.describe`."""
        return f"resized by {self.factor} (MATLAB's bicubic)"

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 h×w×3, resized."""
        return imresize(image, float(self.factor))


_DISTANCE = r"(0|[1-9][0-9]?)(?:\.\.([1-9][0-9]?))?"
_SHIFT = re.compile(rf"shift{_DISTANCE},{_DISTANCE}")
_RESIZE = re.compile(r"resize((?:0|[1-9])(?:\.[0-9]{0,2}[1-9])?)")


def parse_step(text: str) -> Shift | Resize | None:
    """The shift or resize that `text` writes, None for anything else. Raises CodecError for impossible numbers."""
    if match := _SHIFT.fullmatch(text):
        down, last_down, right, last_right = match.groups()
        return Shift(
            *(int(a) if b is None else Range(int(a), int(b)) for a, b in ((down, last_down), (right, last_right)))
        )
    if match := _RESIZE.fullmatch(text):
        return Resize(match[1])
    return None


@dataclass(frozen=True)
class Chain(Codec):
    """Codecs one after the other: each compresses what the one before it has left. The last step is a codec."""

    steps: tuple[Codec | Shift | Resize, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.steps[-1], Codec):
            raise CodecError("a shift or a resize needs a codec behind it")
        around = zip((None, *self.steps), self.steps, self.steps[1:])
        if any(isinstance(step, Shift) and not isinstance(before, Codec) for before, step, _ in around):
            raise CodecError("a shift needs a codec right before it")

    def __str__(self) -> str:
        return ">".join(map(str, self.steps))

    @property
    def is_range(self) -> bool:
        return any(step.is_range for step in self.steps)

    @property
    def last(self) -> Codec:
        """The codec that makes the bytes."""
        codec = self.steps[-1]
        assert isinstance(codec, Codec)  # as checked when it was made
        return codec

    @property
    def keeps_size(self) -> bool:
        return not any(isinstance(step, Resize) for step in self.steps)

    @property
    def size_multiple(self) -> int:
        return max(step.size_multiple for step in self.steps if isinstance(step, Codec))

    def draw(self, rng: np.random.Generator) -> Codec:
        return Chain(tuple(step.draw(rng) for step in self.steps)) if self.is_range else self

    def of_grey(self) -> Codec:
        return replace(self, steps=tuple(s.of_grey() if isinstance(s, Codec) else s for s in self.steps))

    def describe(self) -> str:
        return ", then ".join(step.describe() for step in self.steps)

    def original_of(self, image: np.ndarray) -> np.ndarray:
        for step in self.steps:
            image = step(image) if isinstance(step, Resize) else image
        return image

    def decode(self, data: bytes) -> np.ndarray:
        return self.last.decode(data)

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        image, data = self._room(self._checked(image), 0), b""
        for place, step in enumerate(self.steps, start=1):
            if isinstance(step, Shift):
                image = np.ascontiguousarray(image[step.down :, step.right :])
            elif isinstance(step, Resize):
                image = self._room(step(image), place)
            else:
                image, data = step.roundtrip(image)
        return image, data

    def _room(self, image: np.ndarray, place: int) -> np.ndarray:
        """With the rows and columns that the shifts from a place on, up to the next resize, will cut off."""
        down = right = 0
        for step in self.steps[place:]:
            if isinstance(step, Resize):
                break
            if isinstance(step, Shift):
                assert isinstance(step.down, int) and isinstance(step.right, int)  # drawn
                down, right = down + step.down, right + step.right
        return np.pad(image, ((down, 0), (right, 0), (0, 0)), mode="edge") if down or right else image

    def _encode(self, image: np.ndarray) -> bytes:
        return self.roundtrip(image)[1]
