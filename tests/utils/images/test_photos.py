"""photos: every kind of file keeps its kind of pixels, whatever its depth, grey, alpha, orientation and pages."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.utils.images.files import GREY, PHOTO
from utils.images import ImageError, read_image
from utils.images.photo_writer import write_photo
from utils.images.photos import Photo, read_photo
from utils.images.png_chunks import chunk

RNG = np.random.default_rng(0)


def round_trip(photo: Photo, path, **options) -> Photo:
    write_photo(path, photo, **options)
    return read_photo(path)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp", "jpg", "avif", "gif", "ppm"])
def test_colours_are_those_that_training_reads(file, suffix):
    path = file(PHOTO, suffix, **({"lossless": True} if suffix == "webp" else {}))
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, read_image(path))
    assert (photo.alpha, photo.grey, photo.icc, photo.exif, photo.notes) == (None, False, None, None, ())


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp"])
def test_grey_stays_grey(file, tmp_path, suffix):
    photo = read_photo(file(GREY, suffix))
    assert photo.grey and photo.pixels.shape == PHOTO.shape
    assert np.ptp(photo.pixels.astype(int), axis=2).max() == 0
    write_photo(tmp_path / "out.png", photo)
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), photo.pixels[..., 0])
    write_photo(tmp_path / "out.jpg", photo)
    assert Image.open(tmp_path / "out.jpg").mode == "L"


def test_bits_become_grey(file):
    photo = read_photo(file(Image.fromarray(GREY > 100)))
    assert photo.grey and set(np.unique(photo.pixels)) == {0, 255}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_stay_to_the_last(tmp_path, channels, suffix):
    samples = RNG.integers(0, 65536, (9, 14, channels), dtype=np.uint16)
    if channels == 4:
        samples[..., 3] |= 1  # nothing is hidden; TIFF's alpha of OpenCV is kept apart
    (tmp_path / f"deep.{suffix}").write_bytes(cv2.imencode(f".{suffix}", samples)[1].tobytes())
    photo = read_photo(tmp_path / f"deep.{suffix}")
    assert photo.pixels.dtype == np.uint16 and photo.grey == (channels == 1)
    np.testing.assert_array_equal(photo.pixels, np.broadcast_to(samples[..., 2::-1], (9, 14, 3)))
    if channels == 4:
        np.testing.assert_array_equal(photo.alpha, samples[..., 3])
    again = round_trip(photo, tmp_path / "out.png")
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    assert again.grey == photo.grey and (again.alpha is None) == (photo.alpha is None)
    lossy = round_trip(photo, tmp_path / "out.webp")
    assert lossy.pixels.dtype == np.uint8 and lossy.pixels.shape == (9, 14, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept_apart_and_what_it_hides_is_filled(file, tmp_path, mode):
    alpha = RNG.integers(1, 256, GREY.shape, dtype=np.uint8)
    alpha[20:40, 30:60] = 0
    image = Image.fromarray(PHOTO).convert(mode)
    colour = np.array(image.convert("RGB"))
    image.putalpha(Image.fromarray(alpha))
    photo = read_photo(file(image))
    np.testing.assert_array_equal(photo.alpha, alpha)
    seen = alpha > 0
    np.testing.assert_array_equal(photo.pixels[seen], colour[seen])
    assert photo.grey == (mode == "LA")
    # Nearest: on the hole's left edge, halfway down, it is the pixel to the left.
    np.testing.assert_array_equal(photo.pixels[30, 30], colour[30, 29])
    again = round_trip(photo, tmp_path / "out.png")
    np.testing.assert_array_equal(again.alpha, alpha)
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    np.testing.assert_array_equal(round_trip(photo, tmp_path / "out.webp").alpha, alpha)
    flat = round_trip(photo, tmp_path / "out.jpg")
    assert flat.alpha is None and flat.pixels[30, 45].min() > 240  # over white


def test_nothing_visible_leaves_the_colours(file):
    photo = read_photo(file(np.dstack([PHOTO, np.zeros_like(GREY)])))
    np.testing.assert_array_equal(photo.pixels, PHOTO)
    assert not photo.alpha.any()


def test_palettes_become_rgb_and_their_transparent_entry_alpha(file):
    image = Image.fromarray(PHOTO).quantize(16)
    np.testing.assert_array_equal(read_photo(file(image)).pixels, np.asarray(image.convert("RGB")))
    photo = read_photo(file(image, transparency=3))
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)
    assert not photo.grey


def test_a_transparent_grey_of_sixteen_bits(tmp_path):
    samples = RNG.integers(0, 65536, (9, 14), dtype=np.uint16)
    head = struct.pack(">IIBBBBB", 14, 9, 16, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    key = chunk(b"tRNS", samples[2, 3].astype(">u2").tobytes())
    body = chunk(b"IHDR", head) + key + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "key.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    photo = read_photo(tmp_path / "key.png")
    assert photo.grey and photo.alpha[2, 3] == 0 and (photo.alpha == 65535).sum() == 9 * 14 - 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_orientation_is_applied_once(file, tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = file(PHOTO, suffix, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, expected)
    again = round_trip(photo, tmp_path / "out.png")
    np.testing.assert_array_equal(again.pixels, expected)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif"])
def test_the_first_of_several_frames_with_a_note(file, suffix):
    first, second = Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1])
    photo = read_photo(file(first, suffix, save_all=True, append_images=[second, first]))
    assert photo.notes == ("the first of several frames or pages",)
    assert np.abs(photo.pixels.astype(int) - PHOTO).mean() < 12


def test_a_format_that_is_too_small_is_refused(tmp_path):
    wide = Photo(np.zeros((1, 16_384, 3), np.uint8))
    with pytest.raises(ImageError, match=r"out\.webp: 16384x1 pixels, the format ends at 16383 a side: write png"):
        write_photo(tmp_path / "out.webp", wide)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["jpg", "avif"])
def test_lossy_formats_keep_the_colour_of_each_pixel(tmp_path, suffix):
    lines = np.zeros((32, 32, 3), np.uint8)
    lines[:, ::2, 0] = lines[:, 1::2, 2] = 255  # red and blue, a pixel wide
    again = round_trip(Photo(lines), tmp_path / f"a.{suffix}")
    assert np.abs(again.pixels.astype(int) - lines).mean() < 3


@pytest.mark.parametrize("suffix", ["tif", "gif"])
def test_only_the_first_of_many_pages_costs(tmp_path, suffix, monkeypatch):
    """The rest is not walked over: a page is a few bytes, and a walk takes the square of their number."""
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in range(30)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    sought = []
    for plugin in (Image.OPEN["TIFF"][0], Image.OPEN["GIF"][0]):
        seek = plugin._seek

        def counted(self, frame, *more, seek=seek):
            sought.append(frame)
            return seek(self, frame, *more)

        monkeypatch.setattr(plugin, "_seek", counted)
    assert read_photo(tmp_path / f"a.{suffix}").notes == ("the first of several frames or pages",)
    assert max(sought) <= 1


@pytest.mark.parametrize("read", [read_image, read_photo])
def test_too_little_memory_is_not_blamed_on_the_file(tmp_path, monkeypatch, read):
    path = tmp_path / "large.png"
    Image.fromarray(PHOTO).save(path)

    def load(self):
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", load)
    with pytest.raises(ImageError, match=r"large\.png: too little memory for an image of this size"):
        read(path)
