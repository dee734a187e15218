"""Photos in and out with what belongs to them: depth, grey, alpha, colour profile, EXIF.

`utils.images` makes uint8 RGB of everything, for training and scores. Here a file's own kind is kept, as someone whose
photo it is expects:

- 8 or 16 bits a sample, and grey or RGB, as in the file; palettes become RGB;
- alpha (or a transparent palette entry or colour): apart from the colours. What a fully transparent pixel hides
  is replaced by the nearest visible colour, which a network may then look at without harm;
- CMYK: converted to sRGB by its embedded profile, without one by Pillow's formula;
- EXIF orientation: applied; who, when, where and with what camera and settings: kept; the rest (preview, maker's
  notes, sizes) would be wrong or unreadable afterwards and is left out;
- ICC profile: kept, never applied (but for CMYK);
- several frames or pages: the first, with a note.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms

from utils.files import write_atomically
from utils.images import (
    FORMATS,
    MAX_PIXELS,
    ImageError,
    damaged,
    open_file,
    open_image,
    orientation_of,
    over_white,
    sample_depth,
    sixteen_bits,
    to_eight_bits,
    upright,
)

LONGEST_SIDE = {".png": 2**31 - 1, ".jpg": 65_500, ".webp": 16_383, ".avif": 65_535}
"""What can be written, by suffix, and the longest side that the format has room for."""

_BAND = 1 << 22  # pixels converted at a time
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_KEPT_TAGS = {270, 271, 272, 305, 306, 315, 33432}  # description, make, model, software, date, artist, copyright
_DROPPED_DETAILS = {0x927C, 0xA002, 0xA003, 0xA005}  # maker's notes, width, height, interoperability
_LONGEST_EXIF = 65_000  # a JPEG segment's worth


@dataclass
class Photo:
    """`pixels`: h×w×3 RGB (three equal channels where `grey`), `alpha`: h×w or None, both uint8 or uint16.

    `icc` is a profile that fits the colours, `exif` a block without header; `notes` say what was left out.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    notes: tuple[str, ...] = ()


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> Photo:
    """Read a photo upright, treated as the module says.

    Raises:
        ImageError: as `utils.images.read_image`.
    """
    with open_file(path) as file:
        image = open_image(file, str(path), max_pixels, FORMATS)
        try:
            return _decode(image, file)
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from None
        except Exception as error:  # Pillow's plugins raise many types for damaged data
            raise damaged(str(path), error) from None


def _decode(image: Image.Image, file: BinaryIO) -> Photo:
    notes = []
    # Phones keep previews in MPO files: those are no frames.
    if image.format != "MPO" and (frames := getattr(image, "n_frames", 1)) > 1:
        notes.append(f"the first of {frames} frames or pages")
    orientation, depth = orientation_of(image), sample_depth(image, file)
    image.load()
    exif, icc = _lasting_exif(image, notes), image.info.get("icc_profile")
    if depth == 16:
        colour, alpha = sixteen_bits(image, file)
        # Grey with alpha is decoded as four channels.
        grey = colour.ndim == 2 or (alpha is not None and bool((colour == colour[..., :1]).all()))
    else:
        grey = image.mode in ("1", "L", "LA", "La")
        if image.mode == "CMYK" and icc:
            image, icc = _to_srgb(image, icc, notes), None
        colour, alpha = _eight_bits(image, grey)
    if colour.ndim == 2:
        colour = np.broadcast_to(colour[..., None], (*colour.shape, 3))
    if alpha is not None:
        colour = _without_holes(colour, alpha)
        alpha = upright(alpha, orientation)
    if icc and not _fits(icc, grey=grey):
        notes.append("without its colour profile, which is damaged or for other colours")
        icc = None
    return Photo(upright(colour, orientation), alpha, grey, icc, exif, tuple(notes))


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
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("converted from CMYK without its colour profile, which is damaged")
        return image


def _fits(icc: bytes, *, grey: bool) -> bool:
    """Whether a profile is one at all, and for these colours (ICC.1:2022, 7.2)."""
    return len(icc) >= 132 and icc[36:40] == b"acsp" and icc[16:20] == (b"GRAY" if grey else b"RGB ")


def _lasting_exif(image: Image.Image, notes: list[str]) -> bytes | None:
    try:
        found = image.getexif()
        kept = Image.Exif()
        for tag in _KEPT_TAGS & set(found):
            kept[tag] = found[tag]
        for place, dropped in ((_EXIF_IFD, _DROPPED_DETAILS), (_GPS_IFD, set())):
            details = {tag: value for tag, value in found.get_ifd(place).items() if tag not in dropped}
            if details:
                kept[place] = details
        block = kept.tobytes().removeprefix(b"Exif\0\0") if len(kept) else None
    except Exception:  # Pillow raises many types for damaged EXIF data; the image itself may be good
        notes.append("without its EXIF data, which is damaged")
        return None
    if block and len(block) > _LONGEST_EXIF:
        notes.append("without its EXIF data, which is too long")
        return None
    return block


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


def write_photo(path: Path, photo: Photo, quality: int = 95) -> None:
    """Write a photo in the format of the path's suffix, one of `LONGEST_SIDE`, whole or not at all.

    PNG keeps everything (grey with alpha as RGBA). JPEG, WebP and AVIF have 8 bits, JPEG no alpha: it is blended over
    white. A grey photo's profile stays where the file is grey too. `quality`: 1 to 100, not for PNG.

    Raises:
        ImageError: larger than the format allows, or refused by the encoder.
        UserError: the disk refuses it.
    """
    longest = LONGEST_SIDE[path.suffix]
    height, width = photo.pixels.shape[:2]
    if max(height, width) > longest:
        raise ImageError(f"{path}: {width}x{height} pixels, the format ends at {longest} a side: write png")
    try:
        payload = _png(photo) if path.suffix == ".png" else _lossy(photo, path.suffix, quality)
    except (cv2.error, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise ImageError(f"{path}: cannot be encoded ({' '.join(str(error).split())})") from None
    write_atomically(path, payload)


def _png(photo: Photo) -> bytes:
    """OpenCV's PNG, as Pillow writes no 16-bit colour; profile and EXIF are put in behind its header."""
    if photo.grey:
        samples = cv2.cvtColor(np.ascontiguousarray(photo.pixels), cv2.COLOR_RGB2GRAY)
    else:
        samples = cv2.cvtColor(np.ascontiguousarray(photo.pixels), cv2.COLOR_RGB2BGR)
    if photo.alpha is not None:
        colours = [samples] * 3 if photo.grey else [samples]
        samples = np.dstack([*colours, photo.alpha])
    encoded = cv2.imencode(".png", samples, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1]
    head = 8 + 25  # signature, IHDR
    chunks = b""
    if photo.icc and not (photo.grey and photo.alpha is not None):
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc))
    if photo.exif:
        chunks += _chunk(b"eXIf", photo.exif)
    view = memoryview(encoded.reshape(-1))
    return b"".join([view[:head], chunks, view[head:]])


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _lossy(photo: Photo, suffix: str, quality: int) -> bytes:
    pixels, alpha = photo.pixels, photo.alpha
    if pixels.dtype == np.uint16:
        pixels = to_eight_bits(pixels)
        alpha = None if alpha is None else to_eight_bits(alpha)
    if photo.grey:
        pixels = np.broadcast_to(
            cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)[..., None], pixels.shape
        )
    icc = photo.icc
    options = {"quality": quality}
    if suffix == ".jpg":
        options["subsampling"] = "4:4:4"  # halved colour would undo part of the restoration
        pixels = pixels if alpha is None else over_white(pixels, alpha)
        pixels = pixels[..., 0] if photo.grey else pixels
    else:
        pixels = pixels if alpha is None else np.dstack([pixels, alpha])
        icc = None if photo.grey else icc
    file = io.BytesIO()
    kept = {"icc_profile": icc} if icc else {}
    if photo.exif:
        kept["exif"] = b"Exif\0\0" + photo.exif
    image = Image.fromarray(np.ascontiguousarray(pixels))
    del pixels
    image.save(file, {".jpg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}[suffix], **options, **kept)
    return file.getvalue()
