"""Fit a network's calibration: the factors by which its changes of DCT coefficients come closest to the originals'."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from data.codecs import decode, encode
from data.codecs.jpeg import Jpeg
from data.jpeg_files import CompressedFile
from data.jpeg_files.quantisation import steps_of
from data.resize import imresize, modcrop
from inference.consistency import reduced
from inference.whole_image import restore_unrounded
from models import Generator
from models.calibration import Calibration

QUALITIES = (100, 98, 95, 90, 85, 75, 60, 40, 20, 10)
WIDTH = 0.7
"""Share of the cell that changes are limited to before the factors."""
_JOINING = 3
"""Frequencies, row plus column, up to which a change is never made smaller: they join blocks, and least squares would
bring block edges back for a few hundredths of a dB. Up to `_BLOCKS_SHOW`."""
_SHARE = 0.7
"""Of what least squares take off the other frequencies' changes, this share is taken, for the same reason."""
_BLOCKS_SHOW = 90
"""Quality up to which block edges matter; beyond, the factors are those of least squares."""
_TOWARDS_ONE = 2.0  # squared steps of evidence for a factor of 1: frequencies that are hardly ever changed keep it


def fit(generator: Generator, photos: Iterable[np.ndarray]) -> Calibration:
    """Least squares at each of `QUALITIES` (4:2:0), between the steps of which factors are interpolated.

    Args:
        generator: in eval mode, on the CPU.
        photos: uint8 h×w×3 RGB, without traces of compression; each is reduced by the scale and encoded at every
            quality.
    """
    scale = generator.scale
    products = np.zeros((len(QUALITIES), 2, 2, 8, 8))  # network's change times the original's
    squares = np.zeros_like(products)  # of the network's change
    for photo in photos:
        original = photo if scale == 1 else imresize(modcrop(photo, scale), 1 / scale)
        for place, quality in enumerate(QUALITIES):
            data = encode(original, f"jpeg{quality}")
            pixels = decode(data, f"jpeg{quality}")
            file = CompressedFile(data)
            cell = file.quantisation_of(pixels).cell
            if cell is None:
                continue
            restored = (restore_unrounded(generator, pixels, file=file) * 255).permute(1, 2, 0).numpy()
            pairs = zip(cell.offsets(reduced(restored, scale)), cell.offsets(original.astype(np.float32)))
            for plane, ((changes, levels), (true, _)) in enumerate(pairs):
                changes = np.clip(changes, -WIDTH / 2, WIDTH / 2)
                for kind, counted in enumerate((levels == 0, levels != 0)):
                    counted = counted.astype(np.float32)
                    products[place, min(plane, 1), kind] += (changes * true * counted).sum((0, 2))
                    squares[place, min(plane, 1), kind] += (changes**2 * counted).sum((0, 2))
    factors = (products + _TOWARDS_ONE) / (squares + _TOWARDS_ONE)
    joining = np.add.outer(np.arange(8), np.arange(8)) <= _JOINING
    gentle = np.where(factors < 1, np.where(joining, 1, 1 - _SHARE * (1 - factors)), factors)
    coarse = np.array(QUALITIES)[:, None, None, None, None] <= _BLOCKS_SHOW
    factors = np.where(coarse, gentle, factors)
    steps = tuple(steps_of(Jpeg(quality))[0] for quality in QUALITIES)
    return Calibration(steps, factors.astype(np.float32), WIDTH)
