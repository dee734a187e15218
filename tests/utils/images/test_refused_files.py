"""utils.images: files that are damaged, too large or no images do not pass; the limit of size is ours, not Pillow's."""

import os
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.utils.images.files import PHOTO, assert_one_line, chunk, png16, saved
from utils.images import ImageError, decode_image, image_size, read_image, write_png

RNG = np.random.default_rng(0)


def test_more_than_max_pixels_is_refused_from_the_header(tmp_path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    for read in (read_image, image_size):
        with pytest.raises(ImageError) as error:
            read(path)
        assert_one_line(error, "bomb.png", "60000x60000", "200,000,000")


def test_max_pixels_counts_to_the_pixel():
    data = saved(Image.fromarray(PHOTO), "PNG")
    assert decode_image(data, "photo", max_pixels=64 * 96).shape == (64, 96, 3)
    with pytest.raises(ImageError, match="96x64"):
        decode_image(data, "photo", max_pixels=64 * 96 - 1)


def test_our_limit_not_pillows(tmp_path, recwarn):
    limit = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "wide.png"
    Image.new("1", (19000, 10000)).save(path)  # 190 million: Pillow alone raises above 179 million
    assert image_size(path) == (10000, 19000)
    assert not recwarn.list
    assert limit == Image.MAX_IMAGE_PIXELS


def test_files_that_are_no_image(tmp_path):
    empty, text, missing = tmp_path / "empty.png", tmp_path / "text.jpg", tmp_path / "missing.png"
    empty.write_bytes(b"")
    text.write_text("this is no photograph\n" * 20)
    for path, part in (
        (empty, "empty"),
        (text, "not an image"),
        (missing, "no such"),
        (tmp_path, "directory"),
    ):
        for read in (read_image, image_size):
            with pytest.raises(ImageError) as error:
                read(path)
            assert_one_line(error, str(path), part)


LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 90}, "AVIF": {"quality": 60}}
WHOLE = {
    format: saved(Image.fromarray(PHOTO), format, **LOSSLESS.get(format, {}))
    for format in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "PPM")
} | {"PNG16": png16(RNG.integers(0, 65536, (9, 14, 3), dtype=np.uint16), 2)}


@pytest.mark.parametrize("format", WHOLE)
def test_files_cut_short(tmp_path, format):
    whole = WHOLE[format]
    path = tmp_path / "cut.png"
    image_end = 24 if format.startswith("PNG") else 0  # checksums and the empty last chunk
    for length in np.linspace(1, len(whole) - image_end - 1, 40, dtype=int):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError) as error:
            read_image(path)
        assert_one_line(error, "cut.png")


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damaged_files_are_read_or_refused_with_one_line(format, data):
    damaged = bytearray(WHOLE[format])
    for position in data.draw(st.lists(st.integers(0, min(len(damaged), 400) - 1), min_size=1, max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(damaged), "damaged", max_pixels=10_000_000)
    except ImageError as error:
        assert "damaged" in str(error) and "\n" not in str(error)
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_only_the_given_formats_are_accepted():
    with pytest.raises(ImageError, match="not an image"):
        decode_image(WHOLE["PNG"], "photo", formats=("JPEG",))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_pillows_limit_holds_back_no_tiff_below_ours(tmp_path, monkeypatch, compression):
    Image.fromarray(PHOTO).save(tmp_path / "large.tif", compression=compression)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses more than twice as many
    np.testing.assert_array_equal(read_image(tmp_path / "large.tif"), PHOTO)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_pillows_limit_holds_back_no_jpeg_below_ours(tmp_path, monkeypatch, options):
    flat = np.full((40, 48, 3), 128, np.uint8)  # looked at twice, as what a cut leaves is flat too
    Image.fromarray(flat).save(tmp_path / "large.jpg", **options)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    np.testing.assert_array_equal(read_image(tmp_path / "large.jpg"), flat)


def test_pillows_limit_comes_back_after_threads_that_overlap(tmp_path):
    paths = []
    for n in range(8):
        paths.append(tmp_path / f"{n}.png")
        write_png(paths[-1], PHOTO)
    limit = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_image, paths * 4))
    assert limit is not None and limit == Image.MAX_IMAGE_PIXELS


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for read in (read_image, image_size):
        with pytest.raises(ImageError, match=r"pipe\.png: a pipe or device"):
            read(tmp_path / "pipe.png")
