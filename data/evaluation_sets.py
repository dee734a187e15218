"""Images to evaluate on: named sets, each image at each compression, with its HR partner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.codecs import parse
from data.compressed_file import NO_FILE, CompressedFile
from data.grey import Grey, to_grey
from data.options import EvaluationSetOptions, PhotoSetOptions
from data.pairs import by_original
from data.resize import imresize, modcrop
from data.store import images_in
from utils.errors import UserError
from utils.images import image_size, read_image

MOST_CROPPED = 7
"""An HR image may be up to this many pixels larger than `scale` times its LR image, per axis; it is cropped. Where it
is smaller by less than `scale`, both are cropped: an LR size was rounded up."""


class EvaluationSetError(UserError):
    """A set whose files do not make pairs."""


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
        EvaluationSetError: files without a partner, two files of one base name, or sizes that do not fit.
    """
    hr_paths = _by_stem(options.hr, options.name)
    if options.lr is None:
        specs = [str(parse(spec)) for spec in options.compressions]
        for spec in specs:
            if scale > 1 and not parse(spec).keeps_size:
                raise EvaluationSetError(f"set {options.name!r}: {spec} resizes, which is for scale 1 alone")
        return [
            EvaluationItem(options.name, stem, spec, path, None, options.grey)
            for spec in specs
            for stem, path in hr_paths.items()
        ]
    lr_paths = _by_stem(options.lr, options.name)
    partners, lonely = by_original(lr_paths, hr_paths)
    lonely = sorted({*lonely, *(stem for stem in hr_paths if stem not in partners)})
    if lonely:
        raise EvaluationSetError(
            f"set {options.name!r}: {len(lonely)} files have no partner of the same base name in "
            f"{options.lr} and {options.hr}: {', '.join(lonely[:5])}{', …' if len(lonely) > 5 else ''}"
        )
    for stem, made in partners.items():
        if len(made) > 1:
            both = f"{lr_paths[made[0]]} and {lr_paths[made[1]].name}"
            raise EvaluationSetError(f"set {options.name!r}: {both} both go with {hr_paths[stem].name}: keep one")
    items = []
    for stem, path in hr_paths.items():
        lr_path = lr_paths[partners[stem][0]]
        _check_sizes(image_size(lr_path), image_size(path), scale, f"{lr_path} and {path}")
        items.append(EvaluationItem(options.name, stem, "as is", path, lr_path, options.grey))
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
    hr = _crop(codec.original_of(hr), lr, scale)
    rate = 8 * len(data) / (lr.shape[0] * lr.shape[1])
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
        EvaluationSetError: two files of one base name.
    """
    return _by_stem(options.folder, options.name)


def _by_stem(folder: Path, name: str) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in images_in(folder):
        if path.stem in paths:
            raise EvaluationSetError(
                f"set {name!r}: {paths[path.stem].name} and {path.name} in {folder} have the same base name; "
                "rename or remove one"
            )
        paths[path.stem] = path
    return paths


def _check_sizes(lr: tuple[int, ...], hr: tuple[int, ...], scale: int, where: str) -> None:
    excess = [hr[axis] - lr[axis] * scale for axis in (0, 1)]
    if min(excess) <= -scale or max(excess) > MOST_CROPPED:
        raise EvaluationSetError(
            f"{where}: {lr[0]}×{lr[1]} at ×{scale} does not make {hr[0]}×{hr[1]} (height×width); "
            "wrong scale, or not partners"
        )


def _crop(hr: np.ndarray, lr: np.ndarray, scale: int) -> np.ndarray:
    return hr[: lr.shape[0] * scale, : lr.shape[1] * scale]
