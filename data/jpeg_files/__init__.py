"""Information in a compressed file besides its pixels: quantisation steps and cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from data.jpeg_files.cell import JpegCell, read_cell
from data.jpeg_files.quantisation import Steps, steps_in_file


@dataclass(frozen=True)
class CompressedFile:
    """The bytes of a compressed file, parsed on demand; without bytes nothing is known."""

    data: bytes = b""

    @cached_property
    def steps(self) -> Steps:
        """Mean quantisation steps of a JPEG; unknown for others."""
        return steps_in_file(self.data)

    def cell_of(self, pixels: np.ndarray) -> JpegCell | None:
        """The images that a JPEG may have been encoded from; None for other files, or if `pixels` is a part of it.

        Args:
            pixels: uint8 h×w×3 RGB as decoded from the file, in the file's orientation.
        """
        if pixels.dtype != np.uint8 or self._cell is None:
            return None
        return self._cell if pixels.shape[:2] == (self._cell.height, self._cell.width) else None

    @cached_property
    def _cell(self) -> JpegCell | None:
        return read_cell(self.data)


NO_FILE = CompressedFile()
