"""Where patches are cut from: images that are compressed here, or pairs of images as they were found."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from data.codecs import Codec, parse
from data.image_sets import ImageSet
from data.jpeg_files.quantisation import Steps, steps_of
from data.options import TrainDataOptions
from data.store import AS_IS, StoreError, leaf, map_path, open_map, read_manifest

BLOCK = 16  # pixels: the largest period of a codec's block grid met here (JPEG 4:2:0, WebP macroblocks)


class Cut(NamedTuple):  # thousands are made a second
    """An LR patch and its HR patch, uint8 RGB views; the quantisation steps of the LR patch, and how it was made."""

    lr: np.ndarray
    hr: np.ndarray
    steps: Steps
    compression: str


class PatchSource(ABC):
    """Patches of the images of one set.

    Attributes:
        names: of the images in the store.
        weight: share of the patches.

    Raises:
        StoreError: the set is not prepared, or an image is smaller than a patch (named).
    """

    def __init__(self, images: ImageSet, options: TrainDataOptions, scale: int):
        self.options, self.scale = options, scale
        self.title, self.weight, self.names = images.title, images.weight, list(images.names)
        self.hr_folder = leaf(images.store, 0, "none")
        self.lr_folders = [leaf(images.store, scale, spec) for spec in images.specs]
        self._maps: dict[tuple[Path, int], np.ndarray] = {}  # opened when first read, by each process for itself
        self.hr_records = self._records(self.hr_folder)
        self._sizes = self._smallest_sizes()

    def _records(self, folder: Path) -> dict[str, Any]:
        manifest = read_manifest(folder)
        if manifest is None or any(name not in manifest["images"] for name in self.names):
            raise StoreError(f"{folder}: not prepared for these images; run `python -m data.prepare` (docs/data.md)")
        records: dict[str, Any] = manifest["images"]
        return records

    def _smallest_sizes(self) -> list[tuple[int, int]]:
        """LR sizes of the images: the smallest over the compressions (HEVC's are cropped to multiples of 8)."""
        every = [self._records(folder) for folder in self.lr_folders]
        sizes = []
        for name in self.names:
            height, width = (min(records[name][side] for records in every) for side in ("height", "width"))
            if min(height, width) < self.options.least_side:
                raise StoreError(
                    f"{name}: its LR image at ×{self.scale} is {height}×{width}, "
                    f"{self.options.too_small}; remove the image or lower data.train.patch_size"
                )
            sizes.append((height, width))
        return sizes

    @property
    def opened(self) -> int:
        """How many maps this process has opened."""
        return len(self._maps)

    @abstractmethod
    def cut(self, image: int, u: np.ndarray, rng: np.random.Generator, *, grey: bool) -> Cut:
        """A patch of an image.

        Args:
            u: three numbers from 0 to 1: of the compression, the row and the column.
            rng: for all that is drawn beside them.
            grey: whether the patch is to be made grey, where it is compressed here as it is drawn.
        """

    def _part(self, folder: Path, image: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Rows and columns of a map; what lies beyond its edges is left out."""
        pixels = self._maps.get((folder, image))
        if pixels is None:
            pixels = self._maps[folder, image] = open_map(map_path(folder, self.names[image]))
        return pixels[top : top + height, left : left + width]

    def _hr_part(self, image: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """The same of HR, by LR rows and columns."""
        s = self.scale
        return self._part(self.hr_folder, image, top * s, left * s, height * s, width * s)

    def _place(self, image: int, u: np.ndarray) -> tuple[int, int]:
        height, width = self._sizes[image]
        side = self.options.patch_size
        return int(u[1] * (height - side + 1)), int(u[2] * (width - side + 1))


class CompressedAhead(PatchSource):
    """LR images that were compressed in one piece and stored."""

    def __init__(self, images: ImageSet, options: TrainDataOptions, scale: int):
        super().__init__(images, options, scale)
        codecs = [parse(spec) for spec in options.compressions]
        self._made = [(steps_of(codec), str(codec)) for codec in codecs]

    def cut(self, image: int, u: np.ndarray, rng: np.random.Generator, *, grey: bool) -> Cut:
        choice, side = int(u[0] * len(self._made)), self.options.patch_size
        top, left = self._place(image, u)
        lr = self._part(self.lr_folders[choice], image, top, left, side, side)
        return Cut(lr, self._hr_part(image, top, left, side, side), *self._made[choice])


class CompressedAsDrawn(PatchSource):
    """Clean LR images, of which a region around each patch is compressed as the patch is drawn.

    Where the compression resizes the region, the patch is cut out of what comes of it, and HR is resized alike: as of a
    photo that a platform has made smaller, the network learns what it looked like at that size.
    """

    def __init__(self, images: ImageSet, options: TrainDataOptions, scale: int):
        super().__init__(images, options, scale)
        self._codecs = [parse(spec) for spec in options.compressions]
        self._history = options.repost.history(self._codecs) if options.repost else None

    def cut(self, image: int, u: np.ndarray, rng: np.random.Generator, *, grey: bool) -> Cut:
        codec = (self._history or self._codecs[int(u[0] * len(self._codecs))]).draw(rng)
        if codec.keeps_size:
            top, left = self._place(image, u)
            lr = self._compressed_region(image, top, left, codec, rng, grey=grey)
            hr = self._hr_part(image, top, left, self.options.patch_size, self.options.patch_size)
        else:
            lr, hr = self._resized_region(image, u, codec, rng, grey=grey)
        return Cut(lr, _grey(hr) if grey else hr, steps_of(codec), str(codec))

    def _resized_region(
        self, image: int, u: np.ndarray, codec: Codec, rng: np.random.Generator, *, grey: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """The patch, and HR's, out of a region that is compressed and resized, HR resized; as large as it then must be.

        Up to a block lies before the patch in what comes of the region, and up to a block behind it.
        """
        side, s, factor = self.options.patch_size, self.scale, codec.least_factor
        assert factor is not None  # as the options say
        starts, lengths, before = [], [], []
        for size, share in zip(self._sizes[image], u[1:3]):
            skipped = min(int(rng.integers(0, BLOCK)), int(size * factor) - side)
            needed = min(size, math.ceil((skipped + side) / factor))
            starts.append(int(share * (size - needed + 1)))
            lengths.append(max(needed, math.ceil(_whole_blocks(skipped + side) / factor)))
            before.append(skipped)
        region = np.ascontiguousarray(self._part(self.lr_folders[0], image, *starts, *lengths))
        whole = np.ascontiguousarray(self._hr_part(image, *starts, *lengths))
        lr, hr = codec.compress(_grey(region) if grey else region), codec.original_of(whole, s)
        y, x = before
        return lr[y : y + side, x : x + side], hr[y * s : (y + side) * s, x * s : (x + side) * s]

    def _compressed_region(
        self, image: int, top: int, left: int, codec: Codec, rng: np.random.Generator, *, grey: bool
    ) -> np.ndarray:
        """The patch out of a compressed region that starts up to a block before it and ends up to a block after."""
        side = self.options.patch_size
        before = rng.integers(0, BLOCK, size=2)
        y, x = max(0, top - int(before[0])), max(0, left - int(before[1]))
        # Whole blocks beyond the patch too, as inside an image; at its right and bottom edge the region just ends.
        height, width = _whole_blocks(top + side - y), _whole_blocks(left + side - x)
        region = np.ascontiguousarray(self._part(self.lr_folders[0], image, y, x, height, width))
        region = codec.compress(_grey(region) if grey else region)
        return region[top - y : top - y + side, left - x : left - x + side]


class FoundPairs(PatchSource):
    """LR images as another program has made them; their JPEG files say how coarsely they were quantised."""

    def __init__(self, images: ImageSet, options: TrainDataOptions, scale: int):
        super().__init__(images, options, scale)
        records = self._records(self.lr_folders[0])
        self._steps: list[Steps] = [(luma, chroma) for luma, chroma in (records[name]["steps"] for name in self.names)]

    def cut(self, image: int, u: np.ndarray, rng: np.random.Generator, *, grey: bool) -> Cut:
        side = self.options.patch_size
        top, left = self._place(image, u)
        lr = self._part(self.lr_folders[0], image, top, left, side, side)
        return Cut(lr, self._hr_part(image, top, left, side, side), self._steps[image], AS_IS)


def patch_source(images: ImageSet, options: TrainDataOptions, scale: int) -> PatchSource:
    """The source of a set's patches. Raises StoreError as `PatchSource`."""
    if images.is_paired:
        return FoundPairs(images, options, scale)
    kind = CompressedAsDrawn if options.compress == "on_the_fly" else CompressedAhead
    return kind(images, options, scale)


def _whole_blocks(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def _grey(image: np.ndarray) -> np.ndarray:
    """The JPEG luma of an uint8 h×w×3 image, in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
