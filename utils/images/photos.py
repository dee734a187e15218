"""Photos with what belongs to them: depth, grey, alpha, colour profile, EXIF, XMP. (`photo_writer` writes them.)

`utils.images` makes uint8 RGB of everything, for training and scores. Here a file's own kind is kept, as someone whose
photo it is expects:

- 8 or 16 bits a sample, and grey or RGB, as in the file; palettes become RGB;
- alpha (or a transparent palette entry or colour): apart from the colours. What a fully transparent pixel hides
  is replaced by the nearest visible colour, which a network may then look at without harm;
- CMYK: converted to sRGB by its embedded profile, without one by Pillow's formula;
- EXIF orientation: applied; who, when, where and with what camera and settings: kept, byte for byte; the rest (preview,
  maker's notes, sizes) would be wrong or unreadable afterwards and is left out;
- XMP: kept, with orientation 1 and without sizes;
- ICC profile: kept, never applied (but for CMYK), and so is what gAMA, cHRM, cICP, sRGB or nclx say of the colours;
- several frames or pages: the first, with a note.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms
from PIL.AvifImagePlugin import AvifImageFile

from utils.images import (
    FORMATS,
    MAX_PIXELS,
    ImageError,
    damaged,
    load_whole,
    open_file,
    open_image,
    orientation_of,
    upright,
)
from utils.images.deep_samples import SampleError, sample_depth, sixteen_bits
from utils.images.exif import ExifError, lasting_exif
from utils.images.nclx import nclx_of
from utils.images.png_chunks import chunks_of, colour_chunks
from utils.images.xmp import lasting_xmp

_BAND = 1 << 22  # pixels converted at a time
_LIKE_SRGB = (1, 2), (1, 2, 6, 13, 14, 15)  # primaries and transfers of H.273 that are shown as sRGB, or not said


@dataclass
class Photo:
    """`pixels`: h×w×3 RGB (three equal channels where `grey`), `alpha`: h×w or None, both uint8 or uint16.

    `icc` is a profile that fits the colours, `exif` a block without header, `xmp` a packet, `colours` what else says
    how the samples are meant, as (name, data) of PNG chunks; `notes` say what was left out.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    colours: tuple[tuple[bytes, bytes], ...] = ()
    notes: tuple[str, ...] = ()
    orientation: int = 1
    """How the file stores the pixels, which are upright here: EXIF's number."""


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo upright, treated as the module says.

    Raises:
        ImageError: as `utils.images.read_image`.
    """
    with open_file(path) as file:
        image = open_image(file, str(path), max_pixels, FORMATS)
        try:
            return _decode(image, file)
        except (ImageError, SampleError) as error:
            raise ImageError(f"{path}: {error}") from None
        except Exception as error:  # Pillow's plugins raise many types for damaged data
            raise damaged(str(path), error) from None


def _decode(image: Image.Image, file: BinaryIO) -> Photo:
    notes = []
    # Phones keep previews in MPO files: those are no frames.
    # Whether there are more; to count them, a file of many is read to its end.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        notes.append("the first of several frames or pages")
    orientation, depth = orientation_of(image), sample_depth(image, file)
    load_whole(image, file)
    exif, xmp = _lasting_exif(image, file, notes), _lasting_xmp(image, notes)
    icc, colours = image.info.get("icc_profile"), _colours(image, file)
    if depth == 16:
        colour, alpha = sixteen_bits(image, file)
        # Grey with alpha is decoded as four channels.
        grey = colour.ndim == 2 or (alpha is not None and bool((colour == colour[..., :1]).all()))
    else:
        grey = image.mode in ("1", "L", "LA", "La")
        if image.mode == "CMYK" and icc:
            image, icc, colours = _to_srgb(image, icc, notes), None, ()
        colour, alpha = _eight_bits(image, grey)
    if colour.ndim == 2:
        colour = np.broadcast_to(colour[..., None], (*colour.shape, 3))
    if alpha is not None:
        colour = _without_holes(colour, alpha)
        alpha = upright(alpha, orientation)
    if icc is not None and not _fits(icc, grey=grey):
        notes.append("without its colour profile, which is damaged or for other colours")
        icc = None
    return Photo(upright(colour, orientation), alpha, grey, icc, exif, xmp, colours, tuple(notes), orientation)


def _eight_bits(image: Image.Image, grey: bool) -> tuple[np.ndarray, np.ndarray | None]:
    transparent = image.has_transparency_data
    mode = ("LA" if grey else "RGBA") if transparent else ("L" if grey else "RGB")
    channels = len(mode)
    samples = np.empty((image.height, image.width, channels), np.uint8)
    rows = max(_BAND // image.width, 1)
    for top in range(0, image.height, rows):  # band by band: Pillow's copies take a multiple of the image
        bottom = min(top + rows, image.height)
        band = np.asarray(image.crop((0, top, image.width, bottom)).convert(mode))
        samples[top:bottom] = band.reshape(bottom - top, image.width, channels)
    colour = samples[..., : channels - transparent]
    return colour[..., 0] if grey else colour, samples[..., -1] if transparent else None


def _to_srgb(image: Image.Image, icc: bytes, notes: list[str]) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("converted from CMYK without its colour profile, which is damaged")
        return image
    assert converted is not None  # not in place
    return converted


def _fits(icc: bytes, *, grey: bool) -> bool:
    """Whether a profile is one at all, and for these colours (ICC.1:2022, 7.2)."""
    return len(icc) >= 132 and icc[36:40] == b"acsp" and icc[16:20] == (b"GRAY" if grey else b"RGB ")


def _lasting_exif(image: Image.Image, file: BinaryIO, notes: list[str]) -> bytes | None:
    block = image.info.get("exif")
    # In `info` it is written anew, without its letters, where the box of a turn differs. (Another class: a library has
    # put a reader of its own in the place of Pillow's, as old versions of pillow-heif do.)
    if isinstance(image, AvifImageFile):
        block = image._decoder.get_info()[4]
    if image.format == "TIFF":
        source = file
    elif block:
        source = io.BytesIO(block.removeprefix(b"Exif\0\0"))
    else:
        return None
    try:
        kept, lost = lasting_exif(source)
    except ExifError as error:
        notes.append(f"without its EXIF data, {error}")
        return None
    if lost:
        notes.append(f"without {lost} of its EXIF entries, which are damaged")
    return kept


def _lasting_xmp(image: Image.Image, notes: list[str]) -> bytes | None:
    packet = image.info.get("xmp")
    if not isinstance(packet, bytes) or not packet:
        return None
    if b"HasExtendedXMP" in packet:  # in segments of their own, of JPEG alone
        notes.append("without the extended part of its XMP data")
    return lasting_xmp(packet)


def _colours(image: Image.Image, file: BinaryIO) -> tuple[tuple[bytes, bytes], ...]:
    if image.format == "PNG" and (chunks := chunks_of(file)) is not None:
        return colour_chunks(file, chunks)
    found = nclx_of(file) if image.format in ("AVIF", "HEIF") else None
    if found is None or all(value in like for value, like in zip(found, _LIKE_SRGB)) or max(found) > 255:
        return ()
    return ((b"cICP", bytes([*found, 0, 1])),)  # the samples have become RGB of the full range


def _without_holes(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`colour` with what lies under alpha 0 replaced by the nearest pixel that can be seen."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return colour
    # Labels number the visible pixels; a hidden one has the label of the nearest.
    _, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((labels.max() + 1, 3), colour.dtype)
    by_label[labels[~hidden]] = colour[~hidden]
    filled = colour.copy()
    filled[hidden] = by_label[labels[hidden]]
    return filled
