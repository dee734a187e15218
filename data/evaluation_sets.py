"""Images to evaluate on: named sets, each image at each compression, with its HR partner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.codecs import parse
from data.grey import Grey, to_grey
from data.jpeg_files import NO_FILE, CompressedFile
from data.options import EvaluationSetOptions, PhotoSetOptions
from data.pairs import by_stem, file_pairs
from data.resize import imresize, modcrop
from utils.errors import UserError
from utils.images import image_size, read_image

MOST_CROPPED = 7
"""An HR image may be up to this many pixels larger than `scale` times its LR image, per axis; it is cropped. Where it
is smaller by less than `scale`, both are cropped: an LR size was rounded up."""


class EvaluationSetError(UserError):
    """A set whose images do not fit together, or do not fit the scale."""


@dataclass(frozen=True)
class EvaluationItem:
    """One image at one compression. `compression` is "as is" where the LR images come from a folder.

    `grey`: how the image is made grey before anything else; None: it is not.
    """

    set_name: str
    image: str
    compression: str
    hr_path: Path
    lr_path: Path | None
    grey: Grey | None = None


@dataclass(frozen=True)
class EvaluationPair:
    """`lr` and `hr` (uint8 RGB, hr exactly scale times lr); bits per LR pixel where it was encoded here.

    `file`: what `lr` was decoded from; nothing is known of it where it was not compressed. `compression`: the item's.
    """

    lr: np.ndarray
    hr: np.ndarray
    bits_per_pixel: float | None
    file: CompressedFile = NO_FILE
    compression: str = "as is"


def items_of(options: EvaluationSetOptions, scale: int) -> list[EvaluationItem]:
    """Every image × compression of a set, compressions outermost; only file headers are read.

    Raises:
        ImageError, StoreError: a folder that is missing or empty.
        PairError: files without a partner, or two files of one base name.
        EvaluationSetError: sizes that do not fit.
    """
    where = f"set {options.name!r}"
    if options.lr is None:
        specs = [str(parse(spec)) for spec in options.compressions]
        hr_paths = by_stem(options.hr, where)
        return [
            EvaluationItem(options.name, stem, spec, path, None, options.grey)
            for spec in specs
            for stem, path in hr_paths.items()
        ]
    items = []
    for pair in file_pairs(options.lr, options.hr, where):
        _check_sizes(image_size(pair.lr), image_size(pair.hr), scale, f"{pair.lr} and {pair.hr}")
        items.append(EvaluationItem(options.name, pair.stem, "as is", pair.hr, pair.lr, options.grey))
    return items


def load(item: EvaluationItem, scale: int) -> EvaluationPair:
    """Read one item; the LR image is made (MATLAB bicubic, then the whole image compressed) where it has no file.

    Raises:
        ImageError, CodecError, EvaluationSetError: unreadable, or too small for the codec or the scale.
        GreyError: an image with colours where the set's files are said to be grey.
    """
    hr = _read(item.hr_path, item.grey)
    if item.lr_path is not None:
        lr = _read(item.lr_path, item.grey)
        _check_sizes(lr.shape, hr.shape, scale, f"{item.lr_path} and {item.hr_path}")
        lr = lr[: hr.shape[0] // scale, : hr.shape[1] // scale]  # MATLAB's imresize rounds sizes up
        return EvaluationPair(lr, _crop(hr, lr, scale), None, CompressedFile(item.lr_path.read_bytes()))
    if min(hr.shape[:2]) < scale:
        raise EvaluationSetError(f"{item.hr_path}: {hr.shape[0]}×{hr.shape[1]} is too small for ×{scale}")
    hr = modcrop(hr, scale)
    clean = imresize(hr, 1 / scale) if scale > 1 else hr
    if item.compression == "none":
        return EvaluationPair(clean, hr, None, compression=item.compression)
    codec = parse(item.compression)
    lr, data = (codec.of_grey() if item.grey else codec).roundtrip(clean)
    rate = 8 * len(data) / (lr.shape[0] * lr.shape[1])
    hr = codec.original_of(hr, scale)
    lr = lr[: hr.shape[0] // scale, : hr.shape[1] // scale]  # a resize has rounded its size up
    hr = _crop(hr, lr, scale)
    return EvaluationPair(lr, hr, rate, CompressedFile(data), item.compression)


def _read(path: Path, grey: Grey | None) -> np.ndarray:
    image = read_image(path)
    return image if grey is None else to_grey(image, grey, str(path))


def all_items(sets: tuple[EvaluationSetOptions, ...], scale: int) -> Iterator[EvaluationItem]:
    """The items of several sets, in order."""
    for options in sets:
        yield from items_of(options, scale)


def photos_of(options: PhotoSetOptions) -> dict[str, Path]:
    """The photos of a set by base name; none is opened.

    Raises:
        ImageError, StoreError: a folder that is missing or empty.
        PairError: two files of one base name.
    """
    return by_stem(options.folder, f"set {options.name!r}")


def _check_sizes(lr: tuple[int, ...], hr: tuple[int, ...], scale: int, where: str) -> None:
    excess = [hr[axis] - lr[axis] * scale for axis in (0, 1)]
    if min(excess) <= -scale or max(excess) > MOST_CROPPED:
        raise EvaluationSetError(
            f"{where}: {lr[0]}×{lr[1]} at ×{scale} does not make {hr[0]}×{hr[1]} (height×width); "
            "wrong scale, or not partners"
        )


def _crop(hr: np.ndarray, lr: np.ndarray, scale: int) -> np.ndarray:
    return hr[: lr.shape[0] * scale, : lr.shape[1] * scale]
