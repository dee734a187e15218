"""Image files in and out, with one defined treatment of everything that is not plain 8-bit RGB.

Every array is uint8, height x width x 3, RGB. What a file holds becomes that as follows:

- grey: three equal channels;
- an alpha channel or a transparent palette entry: blended over white (opaque alpha changes nothing);
- 16 bits a sample (PNG, TIFF, PPM): divided by 257 and rounded; other depths above 8 are refused;
- CMYK, YCbCr, Lab: converted by Pillow; embedded colour profiles are not applied;
- EXIF orientation: applied;
- several frames or pages: the first one.

Files are untrusted: the size is read from the header and checked before any pixel is decoded, and a file that
is cut short is an error, not a half-grey image.
"""

import io
import os
import threading
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.errors import UserError
from utils.files import write_atomically

MAX_PIXELS = 200_000_000
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".ppm")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "PPM", "GIF")
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC = 274, 258, 262  # TIFF and EXIF tags
_pillow_limit = threading.Lock()


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
    """Open a file that is to hold an image. Raises ImageError if that fails or the file is empty."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115 (the callers close it)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file: correct the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise ImageError(f"{path}: the file cannot be opened ({_reason(error)})") from None
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise ImageError(f"{path}: the file is empty (0 bytes): copy or make it again")
    return file


def open_image(file: BinaryIO, name: str, max_pixels: int, formats: tuple[str, ...]) -> Image.Image:
    """Read the header and check the size. Raises ImageError, which calls the file `name`."""
    # Pillow's own limit is lower than ours and only warns: replaced.
    try:
        with _pillow_limit:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(file, formats=formats)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not an image that can be read ({', '.join(formats)}): replace it") from None
    except Exception as error:  # Pillow's plugins raise many types for a damaged header
        raise damaged(name, error) from None
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{name}: {image.width}x{image.height} pixels, more than the limit of {max_pixels:,}: "
            "cut it into parts or make it smaller"
        )
    return image


def _decode(file: BinaryIO, name: str, max_pixels: int, formats: tuple[str, ...]) -> np.ndarray:
    image = open_image(file, name, max_pixels, formats)
    try:
        orientation, depth = orientation_of(image), sample_depth(image, file)
        image.load()
        if depth == 8:
            pixels = _eight_bit(image)
        else:
            wide, alpha = sixteen_bits(image, file)
            pixels = to_eight_bits(wide if alpha is None else over_white(wide, alpha))
            pixels = np.broadcast_to(pixels.reshape(*pixels.shape[:2], -1), (*pixels.shape[:2], 3))
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except Exception as error:  # Pillow's plugins raise many types for damaged data
        raise damaged(name, error) from None
    return np.ascontiguousarray(upright(pixels, orientation))


def sample_depth(image: Image.Image, file: BinaryIO) -> int:
    """Return 8 (also for less) or 16. The mode does not tell: Pillow drops 8 of 16 bits of colour, unsaid."""
    if image.format == "TIFF":
        depth = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    elif image.format == "PNG":
        position = file.tell()
        file.seek(24)  # after the signature, the chunk's length and name, width and height
        depth = file.read(1)[0]
        file.seek(position)
    else:
        depth = 16 if image.mode == "I" else 8  # a grey PPM deeper than 8 bits, scaled to 16 by Pillow
    if depth > 16 or image.mode == "F":
        raise ImageError(f"{depth} bits a sample: convert it to 8 or 16 bits")
    return 16 if depth > 8 else 8


def _eight_bit(image: Image.Image) -> np.ndarray:
    if not image.has_transparency_data:
        return np.array(image.convert("RGB"))
    rgba = np.array(image.convert("RGBA"))
    return over_white(rgba[..., :3], rgba[..., 3])


def sixteen_bits(image: Image.Image, file: BinaryIO) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples of a loaded 16-bit image: uint16, h×w grey or h×w×3 RGB, and h×w alpha or None.

    Raises ImageError for a layout that has no defined treatment.
    """
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _sixteen_bit_grey(image)
    file.seek(0)
    return _sixteen_bit_colour(image, file.read())


def _sixteen_bit_grey(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    grey = np.array(image).astype(np.uint16)
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:  # white is zero
        grey = 65535 - grey
    if "transparency" not in image.info:
        return grey, None
    # One grey value means "not there".
    return grey, np.where(grey == image.info["transparency"], np.uint16(0), np.uint16(65535))


def _sixteen_bit_colour(image: Image.Image, data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode by OpenCV, which keeps 16 bits; Pillow, which keeps the upper 8, has found the file whole."""
    wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    upper = np.array(image.convert("RGBA" if "A" in image.getbands() else "RGB"))[..., :3]
    rgb = None if wide is None or wide.ndim != 3 or wide.dtype != np.uint16 else wide[..., 2::-1]
    # Two decoders that disagree (planar samples, premultiplied alpha, CMYK): no defined treatment.
    if rgb is None or rgb.shape != upper.shape or not np.array_equal(rgb >> 8, upper):
        raise ImageError("a layout of 16-bit samples that is not supported: convert it to an RGB PNG")
    return rgb, wide[..., 3] if wide.shape[2] == 4 else None


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
    blended = colour.astype(wide) * alpha + wide(top) * (top - alpha)
    return ((blended + wide(top // 2)) // wide(top)).astype(colour.dtype)


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


def damaged(name: str, error: Exception) -> ImageError:
    """What is said of a file that a decoder stumbles over."""
    return ImageError(f"{name}: damaged or cut short ({_reason(error)}): copy or make it again")


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
