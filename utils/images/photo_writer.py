"""Photos out: every format keeps what it has room for of pixels, profile, EXIF and XMP; what it has not is said."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from utils.files import write_atomically
from utils.images import ImageError, over_white, to_eight_bits
from utils.images.photos import Photo
from utils.images.png_chunks import SIGNATURE, chunk
from utils.images.xmp import MOST as LONGEST_XMP

LONGEST_SIDE = {".png": 2**31 - 1, ".jpg": 65_500, ".webp": 16_383, ".avif": 65_535}
"""What can be written, by suffix, and the longest side that the format has room for."""

_SRGB = {  # what says no more than what is assumed of a file that says nothing
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"cICP": bytes([1, 13, 0, 1]),
}


def write_photo(path: Path, photo: Photo, quality: int = 95) -> tuple[str, ...]:
    """Write a photo in the format of the path's suffix, one of `LONGEST_SIDE`, whole or not at all.

    PNG keeps everything. JPEG, WebP and AVIF have 8 bits, JPEG no alpha: it is blended over white. A grey photo's
    profile stays where the file is grey too, that is not in WebP. `quality`: 1 to 100, not for PNG.

    Returns:
        Notes on what the format has no room for.

    Raises:
        ImageError: larger than the format allows, or refused by the encoder.
        UserError: the disk refuses it.
    """
    longest = LONGEST_SIDE[path.suffix]
    height, width = photo.pixels.shape[:2]
    if max(height, width) > longest:
        raise ImageError(f"{path}: {width}x{height} pixels, the format ends at {longest} a side: write png")
    notes: list[str] = []
    try:
        payload = _png(photo) if path.suffix == ".png" else _lossy(photo, path.suffix, quality, notes)
    except (cv2.error, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise ImageError(f"{path}: cannot be encoded ({' '.join(str(error).split())})") from None
    write_atomically(path, payload)
    return tuple(notes)


def _png(photo: Photo) -> bytes:
    """OpenCV's PNG, as Pillow writes no 16-bit colour; profile, EXIF and XMP are put in behind its header."""
    if photo.grey and photo.alpha is not None:
        encoded = memoryview(_grey_with_alpha(photo))
    else:
        code = cv2.COLOR_RGB2GRAY if photo.grey else cv2.COLOR_RGB2BGR
        samples = cv2.cvtColor(np.ascontiguousarray(photo.pixels), code)
        if photo.alpha is not None:
            samples = np.dstack([samples, photo.alpha])
        encoded = cv2.imencode(".png", samples, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].reshape(-1).data
    chunks = b"".join(chunk(name, data) for name, data in photo.colours)
    if photo.icc:
        chunks += chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(photo.icc))
    if photo.exif:
        chunks += chunk(b"eXIf", photo.exif)
    if photo.xmp:
        chunks += chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + photo.xmp)
    head = 8 + 25  # signature, IHDR
    return b"".join([encoded[:head], chunks, encoded[head:]])


def _grey_with_alpha(photo: Photo) -> bytes:
    """A PNG of two channels, which OpenCV does not write, nor Pillow of 16 bits. Rows are filtered by `up`."""
    assert photo.alpha is not None
    samples = np.dstack([photo.pixels[..., 0], photo.alpha])
    height, width, _ = samples.shape
    rows = samples.astype(samples.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    filtered = np.full((height, 1 + rows.shape[1]), 2, np.uint8)
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    head = struct.pack(">IIBBBBB", width, height, 8 * samples.itemsize, 4, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(filtered.data, 2)) + chunk(b"IEND", b"")


def _lossy(photo: Photo, suffix: str, quality: int, notes: list[str]) -> bytes:
    pixels, alpha = photo.pixels, photo.alpha
    if pixels.dtype == np.uint16:
        pixels = to_eight_bits(pixels)
        alpha = None if alpha is None else to_eight_bits(alpha)
    if photo.grey:
        pixels = np.broadcast_to(
            cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)[..., None], pixels.shape
        )
    icc = photo.icc
    # Halved colour would undo part of the restoration; WebP has no other.
    options: dict[str, object] = {"quality": quality}
    if suffix == ".jpg":
        options["subsampling"] = "4:4:4"
        pixels = pixels if alpha is None else over_white(pixels, alpha)
        pixels = pixels[..., 0] if photo.grey else pixels
    else:
        if suffix == ".avif":
            options["subsampling"] = "4:0:0" if photo.grey else "4:4:4"
        pixels = pixels if alpha is None else np.dstack([pixels, alpha])
        if photo.grey and icc and suffix == ".webp":
            notes.append("without its colour profile, which is for grey: WebP has RGB alone")
            icc = None
    if lost := _lost_colours(photo, icc):
        notes.append(f"without what says how its colours are meant ({', '.join(lost)}): write png to keep it")
    kept: dict[str, bytes] = {"icc_profile": icc} if icc else {}
    if photo.exif:
        kept["exif"] = b"Exif\0\0" + photo.exif
    if photo.xmp and suffix == ".jpg" and len(photo.xmp) > LONGEST_XMP:
        notes.append("without its XMP data, for which JPEG has no room: write png, webp or avif to keep it")
    elif photo.xmp:
        kept["xmp"] = photo.xmp
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    del pixels
    image.save(file, {".jpg": "JPEG", ".webp": "WEBP", ".avif": "AVIF"}[suffix], **options, **kept)
    return file.getvalue()


def _lost_colours(photo: Photo, icc: bytes | None) -> list[str]:
    """Names of the PNG chunks that mean something beside the profile: cICP goes before it, it before the others."""
    said = dict(photo.colours)
    if b"cICP" in said:
        return [name.decode() for name in (b"cICP",) if said[name] != _SRGB[name]]
    if icc or b"sRGB" in said:
        return []
    return [name.decode() for name in (b"gAMA", b"cHRM") if said.get(name, _SRGB[name]) != _SRGB[name]]
