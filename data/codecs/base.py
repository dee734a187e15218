"""The base classes of codecs: immutable descriptions that convert an image to real bytes and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from utils.errors import UserError
from utils.images import ImageError, decode_image


class CodecError(UserError):
    """A compression does not exist, or an image or data do not fit a codec."""


@dataclass(frozen=True)
class Range:
    """Qualities from `low` to `high` inclusive, from which training draws."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


class Codec(ABC):
    """One way to compress an image. Images are uint8 HWC RGB; `str(codec)` is the spec that `parse` reads."""

    @property
    def is_range(self) -> bool:
        """Whether a quality must be drawn first."""
        return False

    @property
    def size_multiple(self) -> int:
        """Sides of training images are cropped to multiples of this before they are encoded."""
        return 1

    @property
    def keeps_size(self) -> bool:
        """Whether the result has the size of the image; if not, `original_of` has the size of the result."""
        return True

    @property
    def least_factor(self) -> float | None:
        """The smallest factor that a picture's sides are resized by; None where that depends on the picture."""
        return 1.0

    def draw(self, rng: np.random.Generator) -> Codec:
        """Return a codec of one quality; if it has no range, the codec itself, without a draw from `rng`."""
        return self

    def original_of(self, image: np.ndarray, scale: int = 1) -> np.ndarray:
        """Return the image that the compressed one is compared with: `image`, or resized as the compressed one was.

        Args:
            image: `scale` times as large as the image that was compressed; so is what is returned, but for a few rows
                or columns (for each resize less than `scale`) that are missing where sizes were rounded up.
        """
        return image

    def of_grey(self) -> Codec:
        """Return the codec for images with equal channels: with one component, if the format supports it."""
        return self

    @abstractmethod
    def describe(self) -> str:
        """Return encoder, version and settings, which determine the bytes."""

    def encode(self, image: np.ndarray) -> bytes:
        """Return the compressed image as a complete file or stream of its format.

        Raises CodecError if the image is not uint8 HWC RGB or too large for the format, if the codec is a
        range, or if the encoder is not installed.
        """
        return self._encode(self._checked(image))

    @abstractmethod
    def decode(self, data: bytes) -> np.ndarray:
        """Return the image of bytes from `encode`. Raises CodecError on other or damaged bytes."""

    def compress(self, image: np.ndarray) -> np.ndarray:
        """Return `decode(encode(image))`, with the same errors."""
        return self.roundtrip(image)[0]

    def roundtrip(self, image: np.ndarray) -> tuple[np.ndarray, bytes]:
        """Return `compress(image)` and the bytes it was decoded from; no bytes without a compression."""
        data = self.encode(image)
        return self.decode(data), data

    @abstractmethod
    def _encode(self, image: np.ndarray) -> bytes:
        """Encode an image that `_checked` has accepted."""

    def _checked(self, image: np.ndarray) -> np.ndarray:
        if self.is_range:
            raise CodecError(f"{self}: a range has no one result: draw a quality first")
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise CodecError(f"{self}: images are uint8 arrays, not {getattr(image, 'dtype', type(image))}")
        if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise CodecError(f"{self}: images are height x width x 3, not {' x '.join(map(str, image.shape))}")
        return np.ascontiguousarray(image)


@dataclass(frozen=True)
class QualityCodec(Codec):
    """A codec with a quality, or a range of qualities, between `lowest` and `highest`; `title` is for readers."""

    quality: int | Range

    name: ClassVar[str]
    title: ClassVar[str]
    lowest: ClassVar[int]
    highest: ClassVar[int]
    subsamplings: ClassVar[tuple[str, ...]] = ()
    """Subsamplings of the chroma that a spec may name: `420`, …"""

    def __post_init__(self) -> None:
        quality = self.quality
        low, high = (quality.low, quality.high) if isinstance(quality, Range) else (quality, quality)
        if low < self.lowest or high > self.highest:
            raise CodecError(f"{self.name} goes from {self.lowest} to {self.highest}")
        if self.is_range and low >= high:
            raise CodecError("a range goes from the lower to the higher number")

    def __str__(self) -> str:
        return f"{self.name}{self.quality}"

    @property
    def one_quality(self) -> int:
        """The quality of a codec without a range; see `draw`."""
        assert isinstance(self.quality, int)
        return self.quality

    @property
    def family(self) -> str:
        """The spec without its quality: `jpeg`, `jpeg:444`, `hevcfull`."""
        return str(self).replace(str(self.quality), "", 1)

    @abstractmethod
    def encoder(self) -> str:
        """Return settings, encoder and version, the part of `describe` after the quality."""

    def describe(self) -> str:
        return f"{self.title} {self.quality}, {self.encoder()}"

    @property
    def is_range(self) -> bool:
        return isinstance(self.quality, Range)

    def draw(self, rng: np.random.Generator) -> Codec:
        if not isinstance(self.quality, Range):
            return self
        return replace(self, quality=int(rng.integers(self.quality.low, self.quality.high, endpoint=True)))


class StillCodec(QualityCodec):
    """A codec whose bytes are an image file that Pillow reads."""

    pillow_format: ClassVar[str]
    longest_side: ClassVar[int]
    """Pixels of the longest side that the format allows."""

    def decode(self, data: bytes) -> np.ndarray:
        return decode_still(self, data, self.pillow_format)

    def _checked(self, image: np.ndarray) -> np.ndarray:
        image = super()._checked(image)
        if max(image.shape[:2]) > (most := self.longest_side):
            raise CodecError(f"{self}: {image.shape[1]}x{image.shape[0]} pixels, the format ends at {most} a side")
        return image


def decode_still(codec: Codec, data: bytes, format: str) -> np.ndarray:
    """Decode an image file of Pillow's `format`. Raises CodecError."""
    try:
        return decode_image(data, f"{codec} data", (format,))
    except ImageError as error:
        raise CodecError(str(error)) from None
