"""Information on an image's compression besides its pixels: quantisation steps and cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.codecs.jpeg import Jpeg
from data.jpeg_files.cell import JpegCell, read_cell
from data.jpeg_files.quantisation import UNKNOWN, Steps, steps_in_file, steps_of
from data.jpeg_files.traces import traced_quality

_COARSER = 1.25
"""Traces count if their luma step is so many times the file's: the traced quality may be 2 below the real one."""


@dataclass(frozen=True)
class Quantisation:
    """How coarsely an image was quantised.

    Attributes:
        steps: mean quantisation steps of luma and chroma, `UNKNOWN` if neither the file nor the pixels tell them.
        cell: the images that the file may have been encoded from; None for files that are not JPEG, and if an earlier
            encoding was coarser, as the original of that one may lie outside.
        traced: quality of an earlier JPEG encoding, found in the pixels, that `steps` describe; None: they are the
            file's.
    """

    steps: Steps = UNKNOWN
    cell: JpegCell | None = None
    traced: int | None = None


@dataclass(frozen=True)
class CompressedFile:
    """The bytes of a compressed file, parsed on demand; without bytes nothing is known."""

    data: bytes = b""

    def quantisation_of(self, pixels: np.ndarray, *, cell: bool = True) -> Quantisation:
        """The coarsest encoding that the file or the pixels tell of.

        Args:
            pixels: uint8 h×w×3 RGB as decoded from the file, in the file's orientation. A part of it has no cell, and
                16-bit pixels bear no traces.
            cell: whether to read the file's cell, which takes time.
        """
        if pixels.dtype == np.uint8 and (quality := traced_quality(pixels)) is not None:
            steps = steps_of(Jpeg(quality))
            if steps[0] > _COARSER * self._steps[0]:
                return Quantisation(steps, traced=quality)
        read = self._cell if cell and pixels.dtype == np.uint8 else None
        whole = read is not None and pixels.shape[:2] == (read.height, read.width)
        return Quantisation(self._steps, read if whole else None)

    @cached_property
    def _steps(self) -> Steps:
        return steps_in_file(self.data)

    @cached_property
    def _cell(self) -> JpegCell | None:
        return read_cell(self.data)


NO_FILE = CompressedFile()
