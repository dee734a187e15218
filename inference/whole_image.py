"""One image through a generator in one piece, as evaluations and validations restore."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from data.jpeg_files import NO_FILE, CompressedFile, Quantisation
from inference.consistency import consistent
from inference.forward import finite, forward
from models import Generator
from models.luma import with_colour_of


def restore(
    generator: Generator,
    lr: np.ndarray,
    device: torch.device | str = "cpu",
    *,
    file: CompressedFile = NO_FILE,
    consistency: bool = False,
) -> np.ndarray:
    """One image through the generator, whole.

    Args:
        lr: uint8 h×w×3 RGB.
        file: what is known of the file that `lr` was decoded from.
        consistency: bring the result into the file's cell, where it has one.

    Returns:
        uint8 (h·scale)×(w·scale)×3, rounded half up and clamped.

    Raises:
        UserError: the network gave numbers that are not finite.
    """
    return to_uint8(restore_unrounded(generator, lr, device, file=file, consistency=consistency))


def restore_unrounded(
    generator: Generator,
    lr: np.ndarray,
    device: torch.device | str = "cpu",
    *,
    file: CompressedFile = NO_FILE,
    consistency: bool = False,
    colour: Generator | None = None,
) -> Tensor:
    """As `restore`, neither rounded nor clamped: float32 3×(h·scale)×(w·scale) in [0, 1] on `device`.

    Args:
        colour: a network at scale 1; the result gets the Cb and Cr of what it makes of `lr`, consistent with the file.

    Raises:
        UserError: the network gave numbers that are not finite.
    """
    with torch.inference_mode():
        batch = to_unit_range(torch.from_numpy(np.ascontiguousarray(lr))[None].to(device))
        read = consistency or generator.reads_steps
        known = file.quantisation_of(lr, cell=consistency) if read else Quantisation()
        sr = forward(generator, batch, known.steps)[0]
        if known.cell is not None:
            sr = torch.cat(list(consistent(iter([sr]), known, generator)), dim=1)
        if colour is not None:
            coloured = restore_unrounded(colour, lr, device, file=file, consistency=True).clamp(0, 1)
            sr = with_colour_of(sr[None], coloured[None])[0]
        return sr


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """Float 3×h×w in [0, 1], on any device → uint8 h×w×3, rounded half up and clamped.

    Raises:
        UserError: the network gave numbers that are not finite.
    """
    return (finite(image).float() * 255 + 0.5).floor().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def to_unit_range(batch: torch.Tensor) -> torch.Tensor:
    """uint8 N×h×w×3 → float32 N×3×h×w in [0, 1], on the batch's device."""
    return batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format) / 255
