"""Results that agree with their JPEG: reduced to the size of the file, they lie in its quantisation cell, or nearly.

At scale 1 a result is projected onto the cell (data/jpeg_files/cell.py). At other scales it is reduced as training data
are (MATLAB's bicubic), and the change that the projection makes to the reduced image is enlarged and added to the
result: one step of iterative back-projection (Irani and Peleg, CVGIP 1991), with the cell in the place of the LR image.
Only Y is changed there: a block of chroma covers 16 pixels of the file, and its ripples would show in flat areas.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from data.jpeg_files import Quantisation
from data.jpeg_files.cell import LUMA, MCU
from data.resize import resize_matrix, resized
from models import Generator

_ROWS = 8 * MCU  # of the file that are worked on at a time, which bounds the copies in memory


def can_be_held(generator: Generator) -> bool:
    """Whether a generator's results are to agree with the file: at scale 1, and where its calibration was fitted.

    Others at larger scales may be trained to remove more than compression (noise, blur), all of which the file holds.
    """
    return generator.scale == 1 or generator.calibration is not None


def consistent(bands: Iterator[Tensor], known: Quantisation, generator: Generator) -> Iterator[Tensor]:
    """What a generator restored, brought into the file's cell, which there must be; by its calibration if it has one.

    Rows wait for those below that their reduction and enlargement reach.

    Args:
        bands: of the restored image from top to bottom: float 3×rows×(width·scale) in [0, 1], rows multiples of scale.

    Yields:
        The same rows, in other bands; not clamped.
    """
    cell, scale = known.cell, generator.scale
    assert cell is not None
    height, width = cell.height, cell.width
    shrink_rows, shrink_columns = (resize_matrix(size * scale, 1 / scale) for size in (height, width))
    enlarge_rows, enlarge_columns = (resize_matrix(size, scale) for size in (height, width))
    reach = 0 if scale == 1 else 2  # LR rows beyond its own that a reduced or enlarged row depends on
    # In LR rows: `given` rows are done, `changed` rows have a known change, of which those from `first` on are kept.
    given = changed = first = 0
    waiting, changes = [], np.empty((0, width, 3 if scale == 1 else 1), np.float32)
    for piece in (piece for band in bands for piece in band.split(_ROWS * scale, dim=1)):
        waiting.append((piece * 255).permute(1, 2, 0).cpu().numpy())
        known_rows = given + sum(map(len, waiting)) // scale
        last = known_rows == height
        ready = height if last else max(changed, (known_rows - reach) // MCU * MCU)
        if ready == changed:
            continue
        rows = np.concatenate(waiting)
        lr = resized(rows, shrink_rows[changed:ready, given * scale : known_rows * scale], shrink_columns)
        change = _moved(lr, changed, known, generator) - lr
        if scale > 1:
            change = (change @ LUMA)[..., None]
        changes = np.concatenate([changes, change])
        done = height if last else max(given, ready - reach)
        if done > given:
            weights = enlarge_rows[given * scale : done * scale, first:ready]
            moved = rows[: (done - given) * scale] + resized(changes, weights, enlarge_columns)
            yield torch.from_numpy(moved).permute(2, 0, 1).to(piece.device) / 255
        waiting = [rows[(done - given) * scale :]]
        keep = max(first, done - reach)
        changes, first, given, changed = changes[keep - first :], keep, done, ready


def reduced(image: np.ndarray, scale: int) -> np.ndarray:
    """An image at the size of the LR image that it belongs to, in float: MATLAB's bicubic; at scale 1 itself.

    Args:
        image: float32 (h·scale)×(w·scale)×3.
    """
    return resized(image, *(resize_matrix(size, 1 / scale) for size in image.shape[:2]))


def _moved(lr: np.ndarray, top: int, known: Quantisation, generator: Generator) -> np.ndarray:
    """Rows of an image at the file's size, from row `top` on, in the cell."""
    assert known.cell is not None
    calibration = generator.calibration
    if calibration is None:
        return known.cell.project(lr, top)
    return known.cell.project(lr, top, width=calibration.width, factors=calibration.at(known.steps[0]))
