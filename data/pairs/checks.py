"""What is said of the pairs of two folders: sizes that are cropped or do not fit, and images that are shifted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.pairs import PairError
from data.pairs.alignment import common_size, shift_between
from data.store import AS_IS, SourceImage, leaf, read_manifest
from utils.errors import UserError
from utils.images import image_size, read_image

SHIFT = 1.0
"""HR pixels from which on a pair is reported."""
MOST_LINES = 10
LOOKED_AT = 4
"""Pairs of a folder whose shift is measured where they are not prepared yet."""


def check_sizes(images: Sequence[SourceImage], scale: int) -> tuple[list[str], list[str]]:
    """What the headers of pairs tell: a line for each that does not fit, and for each that will be cropped."""
    misfits, cropped = [], []
    for image in images:
        if image.lr is None:
            continue
        try:
            lr, hr = image_size(image.lr), image_size(image.path)
        except UserError:
            continue  # said when the image is read
        try:
            height, width = common_size(image.lr, lr, image.path, hr, scale)
        except PairError as error:
            misfits.append(str(error))
            continue
        if (height, width) != lr or (height * scale, width * scale) != hr:
            cropped.append(
                f"{image.lr} and {image.path.name}: {lr[0]}×{lr[1]} and {hr[0]}×{hr[1]} are cropped to "
                f"{height}×{width} and {height * scale}×{width * scale}"
            )
    return misfits, cropped


def shifts_in_store(images: Sequence[SourceImage], store: Path, scale: int) -> list[str]:
    """A line for each prepared pair that is shifted by a pixel or more."""
    manifest = read_manifest(leaf(store, scale, AS_IS))
    records = manifest["images"] if manifest else {}
    return [
        _line(image, *records[image.name]["shift"])
        for image in images
        if image.name in records and _is_shifted(*records[image.name]["shift"])
    ]


def shifts_of_some(images: Sequence[SourceImage], scale: int) -> list[str]:
    """The same for a few pairs, spread over all, out of their files.

    Raises:
        ImageError, PairError: a file that cannot be read, or sizes that do not fit.
    """
    lines = []
    for image in images[:: max(1, -(-len(images) // LOOKED_AT))]:
        assert image.lr is not None  # of pairs
        lr, hr = read_image(image.lr), read_image(image.path)
        height, width = common_size(image.lr, lr.shape, image.path, hr.shape, scale)
        shift = shift_between(lr[:height, :width], hr[: height * scale, : width * scale], scale)
        lines += [_line(image, *shift)] if _is_shifted(*shift) else []
    return lines


def shortened(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    more = [f"… and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return [*lines[:MOST_LINES], *more]


def _is_shifted(down: float, right: float) -> bool:
    return max(abs(down), abs(right)) >= SHIFT


def _line(image: SourceImage, down: float, right: float) -> str:
    return (
        f"{image.lr}: shifted against {image.path.name} by {down:+g} rows and {right:+g} columns of HR pixels "
        "(down and right: +); a network trained on it blurs or moves the image"
    )
