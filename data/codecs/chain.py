"""Several compressions one after the other, with what happens to a picture between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data.codecs.base import Codec, CodecError
from data.codecs.steps import Shift, Sizing, resized, size_after


@dataclass(frozen=True)
class Chain(Codec):
    """Codecs one after the other: each compresses what the one before it has left. The last step is a codec."""

    steps: tuple[Codec | Shift | Sizing, ...]

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
        return not any(isinstance(step, Sizing) for step in self.steps)

    @property
    def least_factor(self) -> float | None:
        factor = 1.0
        for step in self.steps:
            if isinstance(step, Sizing):
                if step.least is None:
                    return None
                factor *= step.least
        return factor

    @property
    def size_multiple(self) -> int:
        return max(step.size_multiple for step in self.steps if isinstance(step, Codec))

    def draw(self, rng: np.random.Generator) -> Codec:
        return Chain(tuple(step.draw(rng) for step in self.steps)) if self.is_range else self

    def of_grey(self) -> Codec:
        return replace(self, steps=tuple(s.of_grey() if isinstance(s, Codec) else s for s in self.steps))

    def describe(self) -> str:
        return ", then ".join(step.describe() for step in self.steps)

    def original_of(self, image: np.ndarray, scale: int = 1) -> np.ndarray:
        if self.keeps_size:
            return image
        height, width = image.shape[0] // scale, image.shape[1] // scale
        for step in self.steps:
            if isinstance(step, Sizing):
                # The factors are those of the picture: of the larger image, other roundings would drift from them.
                factor = step.factor(height, width)
                image, (height, width) = resized(image, factor), size_after(height, width, factor)
        return image[: height * scale, : width * scale]

    def decode(self, data: bytes) -> np.ndarray:
        return self.last.decode(data)

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        image, data = self._room(self._checked(image), 0), b""
        for place, step in enumerate(self.steps, start=1):
            if isinstance(step, Shift):
                image = np.ascontiguousarray(image[step.down :, step.right :])
            elif isinstance(step, Sizing):
                image = self._room(resized(image, step.factor(*image.shape[:2])), place)
            else:
                image, data = step.roundtrip(image)
        return image, data

    def _room(self, image: np.ndarray, place: int) -> np.ndarray:
        """With the rows and columns that the shifts from a place on, up to the next resize, will cut off."""
        down = right = 0
        for step in self.steps[place:]:
            if isinstance(step, Sizing):
                break
            if isinstance(step, Shift):
                assert isinstance(step.down, int) and isinstance(step.right, int)  # drawn
                down, right = down + step.down, right + step.right
        return np.pad(image, ((down, 0), (right, 0), (0, 0)), mode="edge") if down or right else image

    def _encode(self, image: np.ndarray) -> bytes:
        return self.roundtrip(image)[1]
