"""Image files in and out, with one defined treatment of everything that is not plain 8-bit RGB.

Every array is uint8, height x width x 3, RGB. What a file holds becomes that as follows:

- grey: three equal channels;
- an alpha channel or a transparent palette entry: blended over white (opaque alpha changes nothing);
- 16 bits a sample (PNG, TIFF, PPM): divided by 257 and rounded; 9 to 15 bits: stretched to 16 first; deeper, signed
  and floating-point samples are refused;
- CMYK, YCbCr, Lab: converted by Pillow; embedded profiles, and what gAMA, cHRM, cICP and nclx say, are not applied;
- EXIF orientation: applied;
- several frames or pages: the first one.

Files are untrusted: the size is read from the header and checked before any pixel is decoded, and a file that
is cut short is an error, not a half-grey image.
"""

import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.errors import UserError
from utils.files import write_atomically
from utils.images.deep_samples import SampleError, sample_depth, sixteen_bits
from utils.images.jpeg_structure import is_cut
from utils.images.optional_formats import missing_plugin, readable
from utils.images.png_chunks import chunks_of, exif_of, profile_of, stream_is_whole, without_texts, xmp_of

MAX_PIXELS = 200_000_000
MAX_SIDE = 1_000_000
"""Rows or columns: decoders take some 28 bytes for each row, however short."""
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".avif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
    *(suffix for suffixes in readable().values() for suffix in suffixes),
)

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "PPM", "GIF", *readable())
"""Pillow's names."""
_ORIENTATION = 274  # an EXIF tag


class ImageError(UserError):
    """An image file or folder that cannot be used: one line with its path, the reason and what to do."""


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read an image file as uint8 HWC RGB, treated as the module says.

    Raises ImageError if the file is missing, empty, not an image, cut short, of more than `max_pixels`
    pixels, or of a depth or layout that has no defined treatment.
    """
    with open_file(path) as file:
        return _decode(file, str(path), max_pixels, FORMATS)


def image_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return (height, width) as `read_image` would, from the header alone. Raises ImageError as it does."""
    with open_file(path) as file:
        image = open_image(file, str(path), max_pixels, FORMATS)
        width, height = image.size
        return (width, height) if orientation_of(image) >= 5 else (height, width)


def decode_image(
    data: bytes, name: str, formats: tuple[str, ...] = FORMATS, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Decode the bytes of an image file, as `read_image` does, accepting Pillow's `formats` only.

    `name` stands for the file in error messages. Raises ImageError.
    """
    return _decode(io.BytesIO(data), name, max_pixels, formats)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write uint8 HWC RGB as a PNG file, whole or not at all; missing parent folders are made.

    Raises ImageError if the disk refuses it and ValueError if `image` is not uint8 HWC RGB.
    """
    path = Path(path)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"write_png takes uint8 HWC RGB, not {image.dtype} {image.shape}")
    # Level 2: about a third of level 6's time, files a tenth larger.
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1]
    try:
        write_atomically(path, data.tobytes())
    except UserError as error:
        raise ImageError(str(error)) from None


def list_images(folder: str | Path) -> list[Path]:
    """Return the image files of a folder (not of its subfolders), sorted by name, hidden files left out.

    Raises ImageError if the folder is missing, unreadable, or holds none.
    """
    folder = Path(folder)
    try:
        found = sorted(
            (
                entry
                for entry in folder.iterdir()
                if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
            ),
            key=lambda entry: entry.name,
        )
    except FileNotFoundError:
        raise ImageError(f"{folder}: no such folder: create it or correct the path") from None
    except NotADirectoryError:
        raise ImageError(f"{folder}: a file where a folder of images is needed: give its folder") from None
    except OSError as error:
        raise ImageError(f"{folder}: the folder cannot be read ({_reason(error)})") from None
    if not found:
        raise ImageError(f"{folder}: no images in this folder: put {', '.join(SUFFIXES)} files there")
    return found


def open_file(path: str | Path) -> BinaryIO:
    """Open a file that is to hold an image. Raises ImageError if that fails, or it is empty, a pipe or a device."""
    try:
        # Without waiting: a pipe would keep us until someone writes to it.
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file: correct the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{path}: the file cannot be opened ({_reason(error)})") from None
    found = os.fstat(file.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size:
        return file
    file.close()
    if stat.S_ISREG(found.st_mode):
        raise ImageError(f"{path}: the file is empty (0 bytes): copy or make it again")
    raise ImageError(f"{path}: a pipe or device, no image file: write its content to a file")


def open_image(file: BinaryIO, name: str, max_pixels: int, formats: tuple[str, ...]) -> Image.Image:
    """Read the header and check the size. Raises ImageError, which calls the file `name`.

    The image's `info` has `exif`, `xmp` and `icc_profile` where they are there, wherever in the file they lie.
    """
    chunks = chunks_of(file)
    with without_pillows_limit():
        try:
            image = Image.open(file if chunks is None else without_texts(file, chunks), formats=formats)
        except UnidentifiedImageError:
            advice = missing_plugin(name) or f"not an image that can be read ({', '.join(formats)}): replace it"
            raise ImageError(f"{name}: {advice}") from None
        except Exception as error:  # Pillow's plugins raise many types for a damaged header
            raise damaged(name, error) from None
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{name}: {image.width}x{image.height} pixels, more than the limit of {max_pixels:,}: "
            "cut it into parts or make it smaller"
        )
    if max(image.size) > MAX_SIDE:
        raise ImageError(f"{name}: {image.width}x{image.height} pixels, a side ends at {MAX_SIDE:,}: cut it into parts")
    if chunks is not None:
        if not chunks.can_be_whole():
            raise damaged(
                name, EOFError(f"{chunks.data_bytes()} bytes cannot hold {image.width}x{image.height} pixels")
            )
        exif, xmp, icc = exif_of(file, chunks), xmp_of(file, chunks), profile_of(file, chunks)
        found = {"exif": exif and b"Exif\0\0" + exif, "xmp": xmp, "icc_profile": icc}
        image.info.update({key: value for key, value in found.items() if value is not None})
    return image


_lifting = threading.Lock()
_lifted: list[int | None] = []  # Pillow's limit, once for each that wants it lifted


@contextmanager
def without_pillows_limit() -> Iterator[None]:
    """Pillow's own limit of pixels is lower than ours and partly only warns; it is a global of all threads."""
    with _lifting:
        _lifted.append(_lifted[0] if _lifted else Image.MAX_IMAGE_PIXELS)
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lifting:
            limit = _lifted.pop()
            if not _lifted:
                Image.MAX_IMAGE_PIXELS = limit


def load_whole(image: Image.Image, file: BinaryIO) -> None:
    """Decode an opened image. Raises what Pillow does, and ImageError without a name if the file ends too early."""
    with without_pillows_limit():
        image.load()
        cut = image.format in ("JPEG", "MPO") and is_cut(file, image)
    if cut:
        raise ImageError("damaged or cut short (its scan ends before the image does): copy or make it again")
    if image.format == "PNG" and (chunks := chunks_of(file)) is not None:
        last = image.crop((0, image.height - 1, image.width, image.height))
        # What the stream lacks is left 0.
        if (chunks.interlaced or not np.asarray(last).any()) and not stream_is_whole(file, chunks):
            raise ImageError("damaged or cut short (its data ends before the image does): copy or make it again")
        # Pillow scales the samples of 2 and 4 bits to 8, but not the one that means "not there".
        if image.mode == "L" and chunks.depth in (2, 4) and "transparency" in image.info:
            image.info["transparency"] *= 255 // (2**chunks.depth - 1)


def _decode(file: BinaryIO, name: str, max_pixels: int, formats: tuple[str, ...]) -> np.ndarray:
    image = open_image(file, name, max_pixels, formats)
    try:
        orientation, depth = orientation_of(image), sample_depth(image, file)
        load_whole(image, file)
        if depth == 8:
            pixels = _eight_bit(image)
        else:
            wide, alpha = sixteen_bits(image, file)
            pixels = to_eight_bits(wide if alpha is None else over_white(wide, alpha))
            pixels = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3))
    except (ImageError, SampleError) as error:
        raise ImageError(f"{name}: {error}") from None
    except Exception as error:  # Pillow's plugins raise many types for damaged data
        raise damaged(name, error) from None
    return np.ascontiguousarray(upright(pixels, orientation))


def _eight_bit(image: Image.Image) -> np.ndarray:
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    rgba = np.array(image.convert("RGBA"))
    return over_white(rgba[..., :3], rgba[..., 3])


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Blend grey or RGB over white at the depth of the arrays (8 or 16 bits), rounded.

    Args:
        colour: h×w or h×w×3; the result has its shape and type.
        alpha: h×w, of the same type.
    """
    alpha = alpha.reshape(*alpha.shape, *[1] * (colour.ndim - 2))
    top = np.iinfo(colour.dtype).max
    if alpha.min() == top:
        return colour
    wide = np.uint16 if top == 255 else np.uint32  # top² + top / 2 fits
    alpha = alpha.astype(wide)  # before it is multiplied: a scalar of NumPy 1 would not widen it
    blended = colour.astype(wide) * alpha + wide(top) * (top - alpha)
    result: np.ndarray = ((blended + wide(top // 2)) // wide(top)).astype(colour.dtype)
    return result


def to_eight_bits(wide: np.ndarray) -> np.ndarray:
    """uint16 samples as uint8: divided by 257 and rounded."""
    return ((wide.astype(np.uint32) + 128) // 257).astype(np.uint8)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, as the header has it; 1 if there is none or it makes no sense."""
    if image.format == "TIFF":
        return 1  # Pillow and OpenCV turn TIFF files themselves
    try:
        # The base class's method: PNG's own would decode the image to look behind the pixels too.
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data beside a good image
        return 1
    return value if value in range(1, 9) else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of h×w or h×w×3 pixels, turned as EXIF's `orientation` says."""
    if orientation >= 5:  # stored transposed
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of upright h×w or h×w×3 pixels as a file of this `orientation` stores them: what `upright` undoes."""
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels.swapaxes(0, 1) if orientation >= 5 else pixels


def damaged(name: str, error: Exception) -> ImageError:
    """What is said of a file that a decoder stumbles over."""
    if isinstance(error, MemoryError):  # nothing is wrong with the file
        return ImageError(f"{name}: too little memory for an image of this size")
    return ImageError(f"{name}: damaged or cut short ({_reason(error)}): copy or make it again")


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
