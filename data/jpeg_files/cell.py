"""Quantisation cell of a JPEG file: each DCT coefficient of the original is within half a step of the decoded one.

The images that agree with a file form a convex set, a box in the space of DCT coefficients (the quantisation
constraint set of Zakhor, IEEE TCSVT 1992). Projection onto it never increases the distance of a restored image from the
original, measured on Y, Cb and Cr, if the encoder rounded to the nearest step. Encoders that drop coefficients on
purpose (trellis quantisation) leave originals outside the box; the projection then moves the restored image closer to
the file than necessary, never away from it. Blocks that extend beyond the image repeat the samples of its border; for
these the projection is approximate.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.fft import dctn, idctn

MCU = 16
"""Side of the squares that are projected independently: the largest block of samples that a JPEG of 4:4:4, 4:2:2, 4:4:0
or 4:2:0 codes together."""

# JFIF's full-range BT.601.
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
LUMA = _TO_YCC[0]
"""Weights of R, G and B in Y."""
_TO_RGB = np.linalg.inv(_TO_YCC.astype(np.float64)).astype(np.float32)


@dataclass(frozen=True)
class _Plane:
    """One component: its quantised coefficients (blocks down × blocks across × 8 × 8), steps (8×8) and subsampling."""

    levels: np.ndarray
    steps: np.ndarray
    down: int
    across: int


@dataclass(frozen=True)
class JpegCell:
    """The images that one JPEG file may have been encoded from, in the orientation of the file.

    Attributes:
        height, width: of the image in pixels.
        planes: Y alone for a grey file, else Y, Cb, Cr.
    """

    height: int
    width: int
    planes: tuple[_Plane, ...]

    def project(
        self, image: np.ndarray, top: int = 0, *, width: float = 1.0, factors: np.ndarray | None = None
    ) -> np.ndarray:
        """The nearest image in the cell, or with `factors` another one in the cell.

        Args:
            image: float32 h×w×3, RGB on 0–255: all rows of the file's image, or a band of them.
            top: first row of the band in the file's image, a multiple of `MCU`; so is its height, unless the band
                ends with the last row of the image.
            width: width of the cell as a share of the quantisation step: 1 is exact, less stays closer to the file.
            factors: 2×2×8×8, for luma and chroma, for coefficients that are zero in the file and others, by row and
                column: how much of a coefficient's change is kept after it was limited to `width`.

        Returns:
            float32 of the same shape; not clipped.

        Raises:
            ValueError: the band does not fit.
        """
        rows, columns = image.shape[:2]
        ycc = self._padded(image, top)
        for channel, plane in enumerate(self.planes):
            offsets, levels = _offsets(ycc[..., channel], plane, top)
            kept = np.clip(offsets, -width / 2, width / 2)
            if factors is not None:
                kept *= np.where(levels == 0, *factors[min(channel, 1)][:, None, :, None, :])
                kept = np.clip(kept, -0.5, 0.5)
            ycc[..., channel] += _change(kept - offsets, plane, ycc.shape)
        if len(self.planes) == 1:
            ycc[..., 1:] = 0
        ycc[..., 0] += 128
        return (ycc @ _TO_RGB.T)[:rows, :columns]

    def offsets(self, image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """How far the DCT coefficients of a whole image are from the file's, and the file's, for each component.

        Args:
            image: float32 h×w×3, RGB on 0–255.

        Returns:
            For Y (and Cb, Cr): both in quantisation steps, blocks down × 8 × blocks across × 8.
        """
        ycc = self._padded(image, 0)
        return [_offsets(ycc[..., channel], plane, 0) for channel, plane in enumerate(self.planes)]

    def _padded(self, image: np.ndarray, top: int) -> np.ndarray:
        """A band in Y − 128, Cb, Cr, its sides multiples of `MCU`."""
        rows, columns = image.shape[:2]
        if columns != self.width or top % MCU or top + rows > self.height:
            raise ValueError(f"a band of {rows}×{columns} at row {top} is none of {self.height}×{self.width}")
        if rows % MCU and top + rows != self.height:
            raise ValueError(f"a band of {rows} rows inside the image is no multiple of {MCU}")
        ycc: np.ndarray = np.pad(image, ((0, -rows % MCU), (0, -columns % MCU), (0, 0)), mode="edge") @ _TO_YCC.T
        ycc[..., 0] -= 128
        return ycc


def read_cell(data: bytes) -> JpegCell | None:
    """Return the cell of a JPEG file; None for other data, and for JPEGs that are not 8-bit grey or YCbCr in one of the
    four usual subsamplings."""
    if data[:2] != b"\xff\xd8":
        return None
    import jpeglib  # loads a shared library

    # The library opens files by name only.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.jpg"
        path.write_bytes(data)
        try:
            file = jpeglib.read_dct(str(path))
            levels = [file.Y] if file.num_components == 1 else [file.Y, file.Cb, file.Cr]
        except (OSError, RuntimeError, ValueError, AttributeError, IndexError):
            return None
    colour = file.jpeg_color_space.name
    if any(plane is None for plane in levels) or colour != ("JCS_GRAYSCALE" if len(levels) == 1 else "JCS_YCbCr"):
        return None
    factors = [(1, 1)] if len(levels) == 1 else [(int(v), int(h)) for v, h in file.samp_factor]
    most = factors[0]
    if any(most[axis] not in (f[axis], 2 * f[axis]) for f in factors for axis in (0, 1)):
        return None
    planes = tuple(
        _Plane(level, np.asarray(file.get_component_qt(n), np.float32), most[0] // f[0], most[1] // f[1])
        for n, (level, f) in enumerate(zip(levels, factors))
    )
    return JpegCell(int(file.height), int(file.width), planes)


def _offsets(samples: np.ndarray, plane: _Plane, top: int) -> tuple[np.ndarray, np.ndarray]:
    """As `JpegCell.offsets`, of one component at full size, for the blocks of the file that a band covers."""
    down, across = plane.down, plane.across
    height, columns = samples.shape[0] // down, samples.shape[1] // across
    # The encoder codes the mean of the samples that share a chroma sample.
    means = samples.reshape(height, down, columns, across).mean((1, 3))
    first = top // down // 8
    levels = plane.levels[first : first + height // 8, : columns // 8].transpose(0, 2, 1, 3)
    # Blocks beyond those of the file are padding, about which nothing is known.
    coded = means[: levels.shape[0] * 8, : levels.shape[2] * 8].reshape(levels.shape)
    return dctn(coded, axes=(1, 3), norm="ortho") / plane.steps[None, :, None, :] - levels, levels


def _change(steps: np.ndarray, plane: _Plane, shape: tuple[int, ...]) -> np.ndarray:
    """The change of a component at full size that changes its coefficients by so many steps."""
    coded = idctn(steps * plane.steps[None, :, None, :], axes=(1, 3), norm="ortho")
    change: np.ndarray = np.zeros((shape[0] // plane.down, shape[1] // plane.across), np.float32)
    change[: coded.shape[0] * 8, : coded.shape[2] * 8] = coded.reshape(coded.shape[0] * 8, -1)
    # An equal change of all samples that share a chroma sample is the smallest.
    return change.repeat(plane.down, 0).repeat(plane.across, 1)
