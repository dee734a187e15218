"""What a compressed file tells of the image that it holds, beside its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from data.jpeg_cell import JpegCell, read_cell
from data.quantisation import Steps, steps_in_file


@dataclass(frozen=True)
class CompressedFile:
    """The bytes of a file, read for what they tell when it is asked for; no bytes: nothing is known."""

    data: bytes = b""

    @cached_property
    def steps(self) -> Steps:
        """Mean quantisation steps of a JPEG; unknown for others."""
        return steps_in_file(self.data)

    @cached_property
    def cell(self) -> JpegCell | None:
        """The images that a JPEG can have been made from; None for others."""
        return read_cell(self.data)


NO_FILE = CompressedFile()
