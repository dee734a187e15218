"""Packing of training photographs into one small file, which `data.train.hr` reads directly.

    python -m data.pack --hr datasets/photos datasets/BSD200 --megabytes 30 --output pack.tar

Every photograph is kept. It is shrunk slightly, which also removes its own compression artefacts, and large ones
further to fit the requested size; then it is encoded as JPEG 4:4:4 of high quality. The archive also holds
`sources.json`, which maps the images to their source files.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from data.packed import IMAGES
from data.resize import imresize
from data.store import SourceImage, source_images
from utils.cli import run
from utils.cores import usable_cores
from utils.errors import UserError
from utils.files import check_new, write_atomically
from utils.images import image_size, read_image
from utils.visible import visible

QUALITY = 95
"""JPEG quality, with 4:4:4: above 40 dB of PSNR on a photograph (tests/data/test_pack.py), visually lossless."""
SHRINK = 0.9
LEAST_SIDE = 192
"""Smallest side in HR pixels: that of a patch of 96 at ×2, or of 48 at ×4."""
ROUNDS = 6
"""Most rounds of encoding to find the size that fits."""
ENOUGH = 0.93
"""Share of the requested size that is accepted."""


@dataclass(frozen=True)
class Photo:
    """A photograph to pack, and its size."""

    image: SourceImage
    height: int
    width: int

    def scale(self, shrink: float, pixels: float) -> float:
        """Factor of the sides for at most `pixels`; no side falls below `LEAST_SIDE`."""
        scale: float = min(shrink, (pixels / (self.height * self.width)) ** 0.5)
        return min(1.0, max(scale, LEAST_SIDE / min(self.height, self.width)))


def pack(folders: Sequence[Path], megabytes: float, *, shrink: float = SHRINK, quality: int = QUALITY) -> bytes:
    """The archive, of at most `megabytes`·10⁶ bytes.

    Args:
        shrink: largest factor of the sides of a photograph.
        quality: JPEG quality.

    Raises:
        UserError: a folder has no images, a file is not an image, or the photographs do not fit even at their smallest
            size; the message names the size that they need.
    """
    photos = [Photo(image, *image_size(image.path)) for image in source_images(list(folders))]
    limit = megabytes * 1e6
    best, per_pixel, highest = None, 0.4, float("inf")
    for _ in range(ROUNDS):
        pixels = min(_pixels_that_fit(photos, shrink, limit / per_pixel), highest)
        files = _encoded(photos, shrink, pixels, quality)
        archive = _archive(photos, files)
        per_pixel = len(archive) / _total(photos, shrink, pixels)
        if len(archive) > limit:
            per_pixel, highest = per_pixel * 1.02, pixels
            continue
        best = archive if best is None or len(archive) > len(best) else best
        if len(best) >= ENOUGH * limit or pixels >= max(photo.height * photo.width for photo in photos):
            break
    if best is None:
        raise UserError(
            f"{len(photos)} photographs do not fit into {megabytes:g} MB: at {LEAST_SIDE} pixels a side they take "
            f"{_smallest(photos, shrink, quality) / 1e6:.1f} MB; give --megabytes that much, or fewer folders"
        )
    return best


def _total(photos: Sequence[Photo], shrink: float, pixels: float) -> float:
    return sum(photo.height * photo.width * photo.scale(shrink, pixels) ** 2 for photo in photos)


def _pixels_that_fit(photos: Sequence[Photo], shrink: float, total: float) -> float:
    """Limit of pixels per photograph with which all together have `total`, by bisection."""
    low, high = 1.0, float(max(photo.height * photo.width for photo in photos))
    if _total(photos, shrink, high) <= total:
        return high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _total(photos, shrink, middle) <= total else (low, middle)
    return low


def _smallest(photos: Sequence[Photo], shrink: float, quality: int) -> int:
    return len(_archive(photos, _encoded(photos, shrink, 1.0, quality)))


def _encoded(photos: Sequence[Photo], shrink: float, pixels: float, quality: int) -> list[bytes]:
    def encode(photo: Photo) -> bytes:
        image, scale = read_image(photo.image.path), photo.scale(shrink, pixels)
        return jpeg_444(imresize(image, scale) if scale < 1 else image, quality)

    with ThreadPoolExecutor(usable_cores()) as pool:
        bar = tqdm(pool.map(encode, photos), total=len(photos), desc="packing", unit="image", disable=None, leave=False)
        return list(bar)


def jpeg_444(image: np.ndarray, quality: int) -> bytes:
    """Encode uint8 HWC RGB as a JPEG file without chroma subsampling."""
    parameters = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        *(cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    ]
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)[1].tobytes()


def _archive(photos: Sequence[Photo], files: Sequence[bytes]) -> bytes:
    """A tar of the files, with the same bytes each time."""
    names = [f"{number:05d}.jpg" for number in range(1, len(files) + 1)]
    sources = {
        name: {"from": f"{photo.image.path.parent.name}/{photo.image.path.name}", "size": [photo.width, photo.height]}
        for name, photo in zip(names, photos)
    }
    members = [("sources.json", json.dumps(sources, indent=0).encode())]
    members += [(f"{IMAGES}/{name}", file) for name, file in zip(names, files)]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m data.pack", description=__doc__.split("\n")[0])
    parser.add_argument("--hr", type=Path, nargs="+", required=True, metavar="DIR", help="folders of photographs")
    parser.add_argument("--megabytes", type=float, default=30, help="size of the file, at most (default 30)")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.tar")
    parser.add_argument("--shrink", type=float, default=SHRINK, help=f"factor of the sides, at most (default {SHRINK})")
    parser.add_argument("--quality", type=int, default=QUALITY, help=f"of JPEG (default {QUALITY})")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE.tar")
    arguments = parser.parse_args(argv)
    if arguments.output.suffix != ".tar":
        raise UserError(f"{arguments.output}: the name must end in .tar; data.train.hr knows it by that")
    if not 0 < arguments.shrink <= 1 or not 50 <= arguments.quality <= 100 or not arguments.megabytes > 0:
        raise UserError("--shrink is above 0 and at most 1, --quality 50 to 100, --megabytes above 0")
    check_new(arguments.output, overwrite=arguments.overwrite)
    archive = pack(arguments.hr, arguments.megabytes, shrink=arguments.shrink, quality=arguments.quality)
    write_atomically(arguments.output, archive)
    count, size = len(source_images(arguments.hr)), f"{len(archive) / 1e6:.1f} MB"
    print(f"{visible(arguments.output)}: {count} photographs, {size}; `data.train.hr` takes it as it is")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
