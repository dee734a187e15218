"""Restores images of any size with a generator: whole, or in tiles where memory asks for it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor

from data.jpeg_files import NO_FILE, CompressedFile, Quantisation
from data.jpeg_files.quantisation import UNKNOWN
from data.resize import resize_matrix, resized
from inference.complexity import activation_bytes
from inference.consistency import can_be_held, consistent
from inference.forward import Precision, forward
from inference.tiles import MULTIPLE, Grid, blend, grid, samples
from models import Generator
from models.global_average import held_averages
from models.luma import with_colour_of
from utils.errors import UserError
from utils.memory import available_bytes

OVERLAP = 48
"""LR pixels that tiles share. Measured on RRDBNet (docs/restoring.md); networks that fold pixels need the most."""

LEAST_CHANGE = 1.6
"""Change of an image, as root mean square of 255, below which it stays as it was if its quantisation steps are unknown.

Clean photographs and drawn pages are changed by less, but for a few (docs/notes/residual_unet.md).
"""

_LEAST_TILE = 32
_LARGEST_TILE = 1024  # beyond it nothing gets faster
_SHARE = 0.5  # of the memory that is free
_MOST_ON_CPU = 1 << 30  # bytes of a tile; larger ones are no faster there


class Restorer:
    """Restores images of any size and of 8 or 16 bits with one generator.

    An image goes through whole where memory allows it, else in tiles (inference/tiles.py): only a tile at a time
    is on the device, and besides the image and its result one row of tiles is kept. Where averages over all pixels are
    what a network sees of the whole (channel attention: CISRNet, RCAN), those of samples of the image are taken first
    and held for all tiles. CISR-PSI gives tiles another result than the whole.

    Where a network that reads quantisation steps does not know them and would change the image by less than
    `LEAST_CHANGE`, the image stays as it was, and `note` says so: it is clean, or nearly.

    Args:
        generator: in eval mode, on `device`.
        precision: of the network: `bf16` and `fp16` run it under autocast; fp16 on CUDA only.
        self_ensemble: mean over the eight turned and mirrored images (Timofte et al., CVPR 2016): 8 times the work.
        tile: side of a tile in LR pixels; None: what memory allows (see `tile_for`). Where it turns out to be too
            large, it is halved for the rest.
        overlap: LR pixels that tiles share, a multiple of 4.
        consistency: bring what is restored of a JPEG into its cell (inference/consistency.py), at larger scales than 1
            if the generator is calibrated.
        colour: of a network at scale 1; the result gets the Cb and Cr of what this restorer makes of the image.
        strength: 0 to 1, how far from the input (at other scales than 1: upscaled by bicubic) to the network's result.

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
        consistency: bool = True,
        colour: Restorer | None = None,
        strength: float = 1.0,
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
        if not 0 <= strength <= 1:
            raise UserError(f"strength is {strength:g}; give 0 to 1")
        self.tile, self.colour, self.strength = tile, colour, strength
        self.consistency = consistency and can_be_held(generator)
        self.tiles, self.kept = 0, False
        self.traced: int | None = None
        self.colour_traced: int | None = None
        self.looks_at_whole = generator.looks_at_whole
        self._bytes_per_pixel = activation_bytes(generator)

    def __call__(
        self,
        image: np.ndarray,
        progress: Callable[[int, int], None] | None = None,
        file: CompressedFile = NO_FILE,
    ) -> np.ndarray:
        """One image restored. One whose channels are all alike stays grey.

        Args:
            image: uint8 or uint16 h×w×3 RGB.
            file: what is known of the file that it was decoded from; in the orientation of the file.
            progress: called with (tiles done, tiles in all); starts over when tiles have to be made smaller, and after
                the tiles of `colour`.

        Returns:
            The same type, (h·scale)×(w·scale)×3, rounded half up and clamped.

        Raises:
            UserError: too little memory for the smallest tiles, or numbers that are not finite.
        """
        read = self.consistency or self.generator.reads_steps
        known = file.quantisation_of(image, cell=self.consistency) if read else Quantisation()
        grey = bool((image[..., :1] == image[..., 1:]).all())
        coloured, self.colour_traced = None, None
        if self.colour is not None and not grey:
            coloured, self.colour_traced = self.colour(image, progress, file), self.colour.traced
        while True:
            tiles = self.plan(*image.shape[:2])
            self.tiles = tiles.count
            try:
                return self._in_tiles(image, tiles, progress, known, coloured, grey=grey)
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
    def reads_files(self) -> bool:
        """Whether the result depends on more of a file than its pixels."""
        return self.consistency or self.generator.reads_steps or self.colour is not None

    @property
    def note(self) -> str | None:
        """What to know of the image that was restored last, if anything."""
        if self.kept:
            return "left as it is: nothing was found that is sure to be an artefact"
        if self.traced is not None:
            return f"restored as a JPEG of quality {self.traced}: its pixels bear the traces of one"
        if self.colour_traced is not None:
            return f"colour restored as a JPEG's of quality {self.colour_traced}: its pixels bear the traces of one"
        if self.tiles < 2 or not self.looks_at_whole or self.generator.averages_can_be_held:
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

    def _in_tiles(
        self,
        image: np.ndarray,
        tiles: Grid,
        progress: Callable[[int, int], None] | None,
        known: Quantisation,
        coloured: np.ndarray | None,
        *,
        grey: bool,
    ) -> np.ndarray:
        top_value, scale = np.iinfo(image.dtype).max, self.generator.scale
        restored = np.empty((image.shape[0] * scale, image.shape[1] * scale, 3), image.dtype)
        network = partial(
            forward, self.generator, steps=known.steps, precision=self.precision, self_ensemble=self.self_ensemble
        )
        done = 0

        def tile_at(top: int, left: int, height: int, width: int) -> Tensor:
            nonlocal done

            def part(of: np.ndarray) -> Tensor:
                tile = of[top : top + height, left : left + width].astype(np.float32) / np.float32(top_value)
                return torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))[None].to(self.device)

            sr = network(part(image))
            if coloured is not None:
                sr = with_colour_of(sr, part(coloured))
            done += 1
            if progress:
                progress(done, tiles.count)
            return sr[0].cpu()

        def look_at(sample: np.ndarray) -> None:
            parts = torch.from_numpy(sample.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(top_value))
            network(parts.to(self.device))

        row, squares = 0, 0.0
        unsure = self.generator.reads_steps and known.steps == UNKNOWN and scale == 1
        held = self.generator.averages_can_be_held and tiles.count > 1
        with (
            torch.inference_mode(),
            held_averages(self.generator, look_at, samples(image, tiles)) if held else nullcontext(),
        ):
            bands = blend(tile_at, tiles, scale)
            if known.cell is not None:
                bands = consistent(bands, known, self.generator)
            for band in bands:
                if self.strength < 1:
                    band = torch.lerp(_enlarged(image, scale, row, band.shape[1]), band, self.strength)
                if grey:
                    band = band.mean(0, keepdim=True).expand_as(band)
                rounded = (band * top_value + 0.5).floor_().clamp_(0, top_value).permute(1, 2, 0).numpy()
                restored[row : row + len(rounded)] = rounded
                if unsure:
                    before = image[row : row + len(rounded)].astype(np.float32)
                    squares += float(np.square(rounded - before).sum(dtype=np.float64))
                row += len(rounded)
        change = 255 / top_value * math.sqrt(squares / image.size)
        self.traced = known.traced if self.generator.reads_steps else None
        self.kept = unsure and change < LEAST_CHANGE * self.strength
        return image.copy() if self.kept else restored


def _enlarged(image: np.ndarray, scale: int, top: int, rows: int) -> Tensor:
    """Rows of an image after MATLAB's bicubic enlargement, from row `top` on: float32 3×rows×(w·scale) in [0, 1]."""
    height, width = image.shape[:2]
    first, last = max(0, top // scale - 2), min(height, (top + rows) // scale + 2)  # the kernel's reach
    lr = image[first:last].astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    weights = resize_matrix(height, scale)[top : top + rows, first:last]
    return torch.from_numpy(resized(lr, weights, resize_matrix(width, scale)).transpose(2, 0, 1))


def _out_of_memory(error: RuntimeError) -> bool:
    # On the CPU it is a plain RuntimeError.
    return (
        isinstance(error, torch.cuda.OutOfMemoryError)
        or "not enough memory" in str(error)
        or ("DefaultCPUAllocator" in str(error))
    )
