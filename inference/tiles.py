"""Large images piece by piece: where tiles lie, and how their results become one image without seams.

Along one axis, tiles overlap. Of an overlap, the outer quarter of each tile is thrown away (the tile's border is no
border of the image, and a network that pads there is wrong), and over the middle half one tile fades into the next as
sin² and cos² of the way, which add up to 1. Everywhere else a pixel is one tile's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

MULTIPLE = 4
"""Tiles start at multiples of this, so that networks that fold 2×2 or 4×4 pixels fold the same ones."""


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in LR pixels: where it starts, and the part `first:last` of the image it gives."""

    start: int
    first: int
    last: int


@dataclass(frozen=True)
class Axis:
    """Tiles of one `length` that cover `size` pixels; neighbours share `fade` pixels of what they give."""

    size: int
    length: int
    fade: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Grid:
    """Tiles of an image, all of one size: those of each row times those of each column."""

    rows: Axis
    columns: Axis

    @property
    def count(self) -> int:
        return len(self.rows.spans) * len(self.columns.spans)


def grid(height: int, width: int, tile: int, overlap: int) -> Grid:
    """Tiles of at most `tile`² LR pixels that overlap by at least `overlap`; see `axis`."""
    return Grid(axis(height, tile, overlap), axis(width, tile, overlap))


def axis(size: int, tile: int, overlap: int) -> Axis:
    """The fewest tiles that cover `size`, as short as that many can be, spread evenly.

    All have one length, which leaves the same remainder as `size` when divided by `MULTIPLE`: so the last one ends
    where the image ends and still starts at a multiple.

    Raises:
        ValueError: `overlap` is not a multiple of `MULTIPLE`, or `tile` is below twice the overlap, or leaves less than
            two multiples beside it.
    """
    if overlap % MULTIPLE or overlap < 0 or tile < max(2 * overlap, overlap + 2 * MULTIPLE):
        raise ValueError(
            f"tiles of {tile} cannot overlap by {overlap}: a multiple of {MULTIPLE} up to half a tile can be"
        )
    if size <= tile:
        return Axis(size, size, 0, (Span(0, 0, size),))
    length = tile - (tile - size) % MULTIPLE
    count = _count(size, length, overlap)
    least = max(2 * overlap, overlap + MULTIPLE)
    while length - MULTIPLE >= least and _count(size, length - MULTIPLE, overlap) == count:
        length -= MULTIPLE
    starts = [(size - length) // MULTIPLE * n // (count - 1) * MULTIPLE for n in range(count)]
    fade = overlap // 2
    # Each seam lies in the middle of what its two tiles share.
    seams = [(start + before + length) // 2 - fade // 2 for before, start in pairwise(starts)]
    firsts, lasts = [0, *seams], [*(seam + fade for seam in seams), size]
    return Axis(size, length, fade, tuple(map(Span, starts, firsts, lasts)))


def _count(size: int, length: int, overlap: int) -> int:
    step = (length - overlap) // MULTIPLE
    return math.ceil((size - length) // MULTIPLE / step) + 1


def blend(tile_at: Callable[[int, int, int, int], Tensor], grid: Grid, scale: int) -> Iterator[Tensor]:
    """The whole result in bands of rows from top to bottom; no more than one row of tiles is kept.

    Args:
        tile_at: called with (top, left, height, width) of a tile in LR pixels, row by row from the left; returns
            its result, float32 C×(height·scale)×(width·scale) on the CPU.

    Yields:
        float32 C×rows×(image width·scale); the rows of all bands add up to the image's height·scale.
    """
    rows, columns = grid.rows, grid.columns
    kept = None  # what the row of tiles above has given to the rows that it shares with this one
    for index, row in enumerate(rows.spans):
        band = None
        for position, column in enumerate(columns.spans):
            tile = tile_at(row.start, column.start, rows.length, columns.length)
            tile = _used(_used(tile, row, scale, dim=1), column, scale, dim=2)
            if grid.count == 1:
                yield tile
                return
            if band is None:
                band = tile.new_zeros(tile.shape[0], tile.shape[1], columns.size * scale)
            weights = _weights(columns, position, scale)
            band[:, :, column.first * scale : column.last * scale] += tile * weights
        assert band is not None  # a row has tiles
        band *= _weights(rows, index, scale)[:, None]
        if kept is not None:
            band[:, : kept.shape[1]] += kept
        shared = rows.fade * scale if index + 1 < len(rows.spans) else 0
        done = band.shape[1] - shared
        kept = band[:, done:].clone()
        yield band[:, :done]


_PART = 192
"""Side in LR pixels of the parts that a sample is made of, where a tile is at least twice as large."""
_COVERED = 0.25
_COVERED_AT_LEAST = 1_000_000
"""Samples cover this share of an image, and at least so many pixels, or all: averages over millions lose little."""


def samples(image: np.ndarray, grid: Grid) -> Iterator[np.ndarray]:
    """Parts of an image h×w×C spread evenly over it, in batches N×side×side×C that are no larger than a tile."""
    smaller = min(grid.rows.length, grid.columns.length)
    side = min(_PART, max(MULTIPLE, smaller // 2 // MULTIPLE * MULTIPLE))
    height, width = image.shape[:2]
    share = min(1.0, max(_COVERED, _COVERED_AT_LEAST / (height * width)))
    down, across = (max(1, round(size / side * math.sqrt(share))) for size in (height, width))
    places = [
        (int(top) // MULTIPLE * MULTIPLE, int(left) // MULTIPLE * MULTIPLE)
        for top in np.linspace(0, height - side, down)
        for left in np.linspace(0, width - side, across)
    ]
    batches = -(-len(places) // max(1, grid.rows.length * grid.columns.length // side**2))
    for first in range(batches):  # each batch spread over the image too
        yield np.stack([image[top : top + side, left : left + side] for top, left in places[first::batches]])


def _used(tile: Tensor, span: Span, scale: int, dim: int) -> Tensor:
    return tile.narrow(dim, (span.first - span.start) * scale, (span.last - span.first) * scale)


def _weights(axis: Axis, index: int, scale: int) -> Tensor:
    """Weights of the used part of one tile; those of two neighbours add up to 1 at every pixel."""
    span, fade = axis.spans[index], axis.fade * scale
    weights = torch.ones((span.last - span.first) * scale)
    rising = torch.sin((torch.arange(fade) + 0.5) / max(fade, 1) * (math.pi / 2)).square()
    if fade and index > 0:
        weights[:fade] = rising
    if fade and index + 1 < len(axis.spans):
        weights[-fade:] = 1 - rising
    return weights
