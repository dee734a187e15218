"""png_chunks: what a PNG file says beside its pixels, and whether the pixels are all there."""

import contextlib
import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from utils.images import ImageError, decode_image, image_size, read_image
from utils.images.png_chunks import (
    SIGNATURE,
    chunk,
    chunks_of,
    exif_of,
    profile_of,
    stream_is_whole,
    without_texts,
    xmp_of,
)

RNG = np.random.default_rng(0)


def png(width: int, height: int, depth: int, colour_type: int, data: bytes, before: bytes = b"", behind: bytes = b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    return SIGNATURE + head + before + chunk(b"IDAT", data) + behind + chunk(b"IEND", b"")


def saved(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


GREY = RNG.integers(0, 256, (20, 30), np.uint8)
ROWS = b"".join(b"\0" + row.tobytes() for row in GREY)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_transparent_grey_of_any_depth_becomes_white(depth):
    levels = RNG.integers(0, 2**depth, (16, 24), np.uint8)
    bits = (levels[..., None] >> np.arange(depth)[::-1]) & 1
    rows = b"".join(b"\0" + np.packbits(row.reshape(-1)).tobytes() for row in bits)
    for key in range(min(2**depth, 4)):
        data = png(24, 16, depth, 0, zlib.compress(rows), chunk(b"tRNS", struct.pack(">H", key)))
        expected = levels.astype(int) * 255 // (2**depth - 1)
        expected[levels == key] = 255
        np.testing.assert_array_equal(decode_image(data, "key")[..., 0], expected)


@pytest.mark.parametrize("part", [0, 1, 10, 19])
def test_a_stream_that_ends_too_early_is_refused(part):
    rows = b"".join(b"\0" + bytes([200]) * 90 for _ in range(part))
    with pytest.raises(ImageError, match=r"half\.png: damaged or cut short"):
        decode_image(png(30, 20, 8, 2, zlib.compress(rows)), "half.png")


@pytest.mark.parametrize("value", [0, 200])
def test_black_and_white_bottoms_are_whole(value):
    pixels = np.full((20, 30, 3), value, np.uint8)
    np.testing.assert_array_equal(decode_image(saved(pixels), "flat"), pixels)


def test_an_interlaced_file_is_whole_or_refused():
    # Adam7's passes of a 5×5 image have 1, 1, 3, 4, 5·… samples: 1×1, 1×1, 2×1, 1×2… rows with a filter byte each.
    sizes = [(1, 1), (1, 1), (2, 1), (1, 2), (3, 1), (2, 3), (5, 2)]
    raw = b"".join((b"\0" + bytes([9]) * width) * height for width, height in sizes)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 5, 8, 0, 0, 0, 1))
    for cut, fails in ((0, False), (1, True), (8, True)):
        data = SIGNATURE + head + chunk(b"IDAT", zlib.compress(raw[: len(raw) - cut])) + chunk(b"IEND", b"")
        if fails:
            with pytest.raises(ImageError, match="cut short"):
                decode_image(data, "interlaced")
        else:
            assert (decode_image(data, "interlaced") == 9).all()


def test_a_header_that_the_files_bytes_cannot_fill_costs_nothing(tmp_path):
    (tmp_path / "tall.png").write_bytes(png(1, 900_000, 8, 0, zlib.compress(b"\0\0")))
    (tmp_path / "wide.png").write_bytes(png(10_000, 19_000, 8, 2, zlib.compress(b"\0" * 100)))
    (tmp_path / "whole.png").write_bytes(png(1, 1_000_001, 8, 0, zlib.compress(bytes(2_000_002), 9)))
    for name, said in (
        ("tall", "bytes cannot hold"),
        ("wide", "bytes cannot hold"),
        ("whole", "a side ends at 1,000,000"),
    ):
        tracemalloc.start()
        for read in (read_image, image_size):
            with pytest.raises(ImageError, match=said):
                read(tmp_path / f"{name}.png")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt", b"iCCP"])
def test_long_texts_and_profiles_do_not_keep_a_file_from_being_read(name):
    long = RNG.integers(32, 127, 1 << 20, np.uint8).tobytes() * 2
    data = {
        b"tEXt": b"Comment\0" + long,
        b"zTXt": b"Comment\0\0" + zlib.compress(long),
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(long),
        b"iCCP": b"name\0\0" + zlib.compress(long),
    }[name]
    file = png(30, 20, 8, 0, zlib.compress(ROWS), chunk(name, data))
    np.testing.assert_array_equal(decode_image(file, "long")[..., 0], GREY)
    chunks = chunks_of(io.BytesIO(file))
    assert xmp_of(io.BytesIO(file), chunks) == (long if name == b"iTXt" else None)
    assert profile_of(io.BytesIO(file), chunks) == (long if name == b"iCCP" else None)


def test_a_bomb_in_a_text_is_not_inflated_beyond_the_limit(monkeypatch):
    monkeypatch.setattr("utils.images.png_chunks.MOST", 1 << 20)
    for size, kept in ((1 << 20, True), (20 << 20, False)):
        packet = chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(size)))
        file = png(30, 20, 8, 0, zlib.compress(ROWS), packet)
        tracemalloc.start()
        np.testing.assert_array_equal(decode_image(file, "bomb")[..., 0], GREY)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()
        assert (xmp_of(io.BytesIO(file), chunks_of(io.BytesIO(file))) is not None) == kept


def test_exif_is_found_before_and_behind_the_pixels_and_in_the_text_of_older_programs():
    exif = Image.Exif()
    exif[274] = 6
    block = exif.tobytes()[6:]
    text = "\nexif\n" + f"{len(block) + 6:8}\n" + (b"Exif\0\0" + block).hex() + "\n"
    for before, behind in (
        (chunk(b"eXIf", block), b""),
        (b"", chunk(b"eXIf", block)),
        (b"", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text.encode()))),
        (chunk(b"tEXt", b"Raw profile type APP1\0" + text.encode()), b""),
    ):
        file = png(30, 20, 8, 0, zlib.compress(ROWS), before, behind)
        assert exif_of(io.BytesIO(file), chunks_of(io.BytesIO(file))) == block
        np.testing.assert_array_equal(decode_image(file, "turned")[..., 0], np.rot90(GREY, -1))


def test_without_texts_is_the_file_without_them():
    plain = png(30, 20, 8, 0, zlib.compress(ROWS))
    texts = [chunk(b"tEXt", b"a\0" + bytes([n])) for n in range(3)]
    full = png(30, 20, 8, 0, zlib.compress(ROWS), texts[0] + texts[1], texts[2])
    file = io.BytesIO(full)
    assert without_texts(file, chunks_of(file)).read() == plain
    assert without_texts(io.BytesIO(plain), chunks_of(io.BytesIO(plain))).read() == plain


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_is_walked_over(data):
    whole = bytearray(png(30, 20, 8, 0, zlib.compress(ROWS), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>")))
    for _ in range(data.draw(st.integers(0, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file = io.BytesIO(whole[: data.draw(st.integers(0, len(whole)))])
    chunks = chunks_of(file)
    if chunks is None:
        return
    assert all(place >= 0 and place + length <= file.seek(0, 2) for _, place, length in chunks.places)
    for read in (exif_of, xmp_of, profile_of):
        assert isinstance(read(file, chunks), bytes | None)
    if chunks.raw_bytes() < 1 << 20:
        with contextlib.suppress(zlib.error):
            assert stream_is_whole(file, chunks) in (True, False)
    assert len(without_texts(file, chunks).read()) <= file.seek(0, 2)
