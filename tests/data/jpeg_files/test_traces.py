"""data.jpeg_files: an earlier JPEG encoding is found in the pixels, and nothing is found where there was none."""

import numpy as np
import pytest
import skimage.data

from data.codecs import compress, decode, encode, parse
from data.draw import draw
from data.jpeg_files import NO_FILE, CompressedFile
from data.jpeg_files.quantisation import UNKNOWN, steps_of
from data.jpeg_files.traces import traced_quality

PHOTO = np.ascontiguousarray(skimage.data.coffee()[80:336, 100:484])


@pytest.mark.parametrize("quality", [10, 23, 30, 50, 66, 75, 85, 90, 95])
def test_a_jpeg_that_was_saved_without_loss_is_found(quality):
    for spec in (f"jpeg{quality}", f"jpeg{quality}:444", f"webp80>jpeg{quality}"):
        assert quality - 2 <= traced_quality(compress(PHOTO, spec)) <= quality


@pytest.mark.parametrize(("top", "left"), [(0, 3), (5, 0), (7, 1), (12, 20)])
def test_it_is_found_in_a_part_too(top, left):
    for spec in ("jpeg15", "jpeg75", "jpeg90"):
        quality = int(spec[4:])
        part = compress(PHOTO, spec)[top:, left:]
        assert quality - 2 <= traced_quality(part) <= quality
        if quality < 80:  # beyond, a second encoding hides the first
            assert quality - 2 <= traced_quality(compress(part, "jpeg95")) <= quality


def test_of_two_encodings_the_coarser_is_found():
    for spec in ("jpeg20>jpeg75", "jpeg75>jpeg20", "jpeg20>jpeg60:444>jpeg90"):
        assert 18 <= traced_quality(compress(PHOTO, spec)) <= 20


@pytest.mark.parametrize("spec", ["none", "webp20", "webp80", "avif40", "jpeg20>half", "jpeg20>webp30", "jpeg100"])
def test_nothing_is_found_where_the_blocks_are_gone_or_never_were(spec):
    image = PHOTO
    for step in spec.split(">"):
        image = half(image) if step == "half" else compress(image, step)
    assert traced_quality(image) is None


def half(image):
    return ((image[::2, ::2].astype(np.uint16) + image[1::2, 1::2]) // 2).astype(np.uint8)


@pytest.mark.parametrize("number", range(8))
def test_drawn_pages_bear_no_traces_but_those_of_an_encoding(number):
    page = draw(3, number)
    assert traced_quality(page) is None
    found = traced_quality(compress(page, "jpeg75"))
    assert found is None or 73 <= found <= 75


def test_little_images_tell_nothing():
    for height, width in ((1, 1), (7, 900), (8, 8), (64, 5)):
        assert traced_quality(compress(PHOTO[:height, :width], "jpeg30")) is None
    assert traced_quality(np.zeros((64, 64, 3), np.uint8)) is None


def test_a_large_image_is_examined_in_part(monkeypatch):
    monkeypatch.setattr("data.jpeg_files.traces._BLOCKS", 500)
    assert 38 <= traced_quality(compress(PHOTO, "jpeg40")) <= 40


def test_the_file_tells_if_nothing_coarser_is_found():
    for spec in ("jpeg10", "jpeg50", "jpeg90", "jpeg40>jpeg40", "jpeg90>jpeg30"):
        data = encode(PHOTO, spec)
        known = CompressedFile(data).quantisation_of(decode(data, spec))
        assert known.traced is None and known.cell is not None
        assert known.steps == steps_of(parse(spec))


def test_traces_of_a_coarser_encoding_replace_what_the_file_tells():
    data = encode(PHOTO, "jpeg20>jpeg80")
    pixels = decode(data, "jpeg80")
    known = CompressedFile(data).quantisation_of(pixels)
    assert known.cell is None and 18 <= known.traced <= 20
    assert known.steps == steps_of(parse(f"jpeg{known.traced}"))
    assert NO_FILE.quantisation_of(pixels) == known
    deep = NO_FILE.quantisation_of(pixels.astype(np.uint16) * 257)
    assert deep.steps == UNKNOWN and deep.cell is deep.traced is None
    part = CompressedFile(encode(PHOTO, "jpeg80")).quantisation_of(PHOTO[8:])
    assert part.cell is None and part.steps == steps_of(parse("jpeg80"))
