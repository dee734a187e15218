"""From images to restored images through a generator: whole, or in tiles where memory asks for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from evaluation.complexity import activation_bytes
from evaluation.tiles import MULTIPLE, Grid, blend, grid
from models import Generator
from utils.errors import UserError
from utils.memory import available_bytes

Precision = Literal["fp32", "bf16", "fp16"]
OVERLAP = 48
"""LR pixels that tiles share. Measured on RRDBNet (docs/restoring.md); networks that fold pixels need the most."""

_LEAST_TILE = 32
_LARGEST_TILE = 1024  # beyond it nothing gets faster
_SHARE = 0.5  # of the memory that is free
_MOST_ON_CPU = 1 << 30  # bytes of a tile; larger ones are no faster there


def restore(generator: Generator, lr: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """One image through the generator, whole.

    Args:
        lr: uint8 h×w×3 RGB.

    Returns:
        uint8 (h·scale)×(w·scale)×3, rounded half up and clamped.

    Raises:
        UserError: the network gave numbers that are not finite.
    """
    with torch.inference_mode():
        batch = to_unit_range(torch.from_numpy(np.ascontiguousarray(lr))[None].to(device))
        return to_uint8(generator(batch)[0])


def finite(sr: Tensor, precision: Precision = "fp32") -> Tensor:
    """What a network gave, if it is finite: else there is no picture to score or to keep.

    Raises:
        UserError: NaN or an infinity in it.
    """
    if not sr.isfinite().all():
        other = {
            "fp32": "it diverged in training, or its weights are damaged: take an earlier checkpoint or other weights",
            "bf16": "try precision fp32",
            "fp16": "use precision bf16 or fp32",
        }[precision]
        raise UserError(f"the network gave numbers that are not finite in {precision}; {other}")
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


class Restorer:
    """Restores images of any size and of 8 or 16 bits with one generator.

    An image goes through whole where memory allows it, else in tiles (evaluation/tiles.py): only a tile at a time
    is on the device, and besides the image and its result one row of tiles is kept. A network that looks at the whole
    image at once (`looks_at_whole`: CISRNet, RCAN, CISR-PSI) gives tiles another result than the whole.

    Args:
        generator: in eval mode, on `device`.
        precision: of the network: `bf16` and `fp16` run it under autocast; fp16 on CUDA only.
        self_ensemble: mean over the eight turned and mirrored images (Timofte et al., CVPR 2016): 8 times the work.
        tile: side of a tile in LR pixels; None: what memory allows (see `tile_for`). Where it turns out to be too
            large, it is halved for the rest.
        overlap: LR pixels that tiles share, a multiple of 4.

    Raises:
        UserError: settings that do not go together.
    """

    def __init__(
        self,
        generator: Generator,
        device: torch.device | str = "cpu",
        *,
        precision: Precision = "fp32",
        self_ensemble: bool = False,
        tile: int | None = None,
        overlap: int = OVERLAP,
    ):
        self.generator, self.device = generator, torch.device(device)
        self.precision, self.self_ensemble, self.overlap = precision, self_ensemble, overlap
        if precision == "fp16" and self.device.type == "cpu":
            raise UserError("precision fp16 needs CUDA; on the CPU use bf16 or fp32")
        if overlap < 0 or overlap % MULTIPLE:
            raise UserError(f"overlap is {overlap}; give a multiple of {MULTIPLE}")
        self.least_tile = max(2 * overlap, _LEAST_TILE)
        if tile is not None and tile < self.least_tile:
            raise UserError(f"tile is {tile}; with an overlap of {overlap} it must be at least {self.least_tile}")
        self.tile = tile
        self.tiles = 0
        self.looks_at_whole = generator.looks_at_whole
        self._bytes_per_pixel = activation_bytes(generator)

    def __call__(self, image: np.ndarray, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
        """One image restored.

        Args:
            image: uint8 or uint16 h×w×3 RGB.
            progress: called with (tiles done, tiles in all); starts over when tiles have to be made smaller.

        Returns:
            The same type, (h·scale)×(w·scale)×3, rounded half up and clamped.

        Raises:
            UserError: too little memory for the smallest tiles, or numbers that are not finite.
        """
        while True:
            tiles = self.plan(*image.shape[:2])
            self.tiles = tiles.count
            try:
                return self._in_tiles(image, tiles, progress)
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
            # Outside the except clause: there the traceback would keep the tensors alive.
            used = max(tiles.rows.length, tiles.columns.length)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            if used <= self.least_tile:
                raise UserError(f"too little memory on {self.device} even for tiles of {used}; free some or use cpu")
            self.tile = max(used // 2, self.least_tile)
            print(f"out of memory with tiles of {used}; going on with {self.tile}", file=sys.stderr)

    @property
    def note(self) -> str | None:
        """What to know of the image that was restored last, if anything."""
        if self.tiles < 2 or not self.looks_at_whole:
            return None
        return f"restored in {self.tiles} tiles by a network that looks at the whole image: seams may show"

    def plan(self, height: int, width: int) -> Grid:
        """The tiles that an image of this size is restored in; one where it goes through whole."""
        tile = self.tile or self._tile_for(height, width)
        return grid(height, width, tile, self.overlap)

    def _tile_for(self, height: int, width: int) -> int:
        """The whole image if half of the free memory is enough for it, else the largest square that fits there.

        On the CPU a tile's share is limited, unless only the whole image gives what the network is meant to give.
        """
        if self.device.type == "cuda":
            free = most = torch.cuda.mem_get_info(self.device)[0] * _SHARE
        else:
            free = available_bytes() * _SHARE
            most = min(free, _MOST_ON_CPU)
        if height * width * self._bytes_per_pixel <= (free if self.looks_at_whole else most):
            return max(height, width, self.least_tile)
        return min(max(math.isqrt(int(most / self._bytes_per_pixel)), self.least_tile), _LARGEST_TILE)

    def _in_tiles(self, image: np.ndarray, tiles: Grid, progress: Callable[[int, int], None] | None) -> np.ndarray:
        top_value, scale = np.iinfo(image.dtype).max, self.generator.scale
        restored = np.empty((image.shape[0] * scale, image.shape[1] * scale, 3), image.dtype)
        done = 0

        def tile_at(top: int, left: int, height: int, width: int) -> Tensor:
            nonlocal done
            tile = image[top : top + height, left : left + width].astype(np.float32) / np.float32(top_value)
            sr = self._network(torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))[None].to(self.device))
            done += 1
            if progress:
                progress(done, tiles.count)
            return sr[0].cpu()

        row = 0
        with torch.inference_mode():
            for band in blend(tile_at, tiles, scale):
                rounded = (band * top_value + 0.5).floor_().clamp_(0, top_value).permute(1, 2, 0).numpy()
                restored[row : row + len(rounded)] = rounded
                row += len(rounded)
        return restored

    def _network(self, lr: Tensor) -> Tensor:
        """float32 1×3×h×w in [0, 1] → float32, `scale` times larger."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)
        with torch.autocast(self.device.type, dtype) if dtype else nullcontext():
            sr = ensemble_of_eight(self.generator, lr) if self.self_ensemble else self.generator(lr).float()
        return finite(sr, self.precision)


def ensemble_of_eight(network: Callable[[Tensor], Tensor], lr: Tensor) -> Tensor:
    """Mean of what `network` makes of `lr` (N×3×h×w) in all eight orientations, each turned back; float32."""
    total = None
    for turns in range(4):
        turned = lr.rot90(turns, (2, 3))
        for sr in (network(turned).float(), network(turned.flip(3)).float().flip(3)):
            upright = sr.rot90(-turns, (2, 3))
            total = upright if total is None else total + upright
    return total / 8


def _out_of_memory(error: RuntimeError) -> bool:
    # On the CPU it is a plain RuntimeError.
    return (
        isinstance(error, torch.cuda.OutOfMemoryError)
        or "not enough memory" in str(error)
        or ("DefaultCPUAllocator" in str(error))
    )
