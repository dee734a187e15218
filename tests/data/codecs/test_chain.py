"""Shifts and resizes between two encodings: what the second encoder sees, which size comes out, and what HR becomes."""

import io

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from data.codecs import compress, decode, parse
from data.evaluation_sets import items_of, load
from data.options import EvaluationSetOptions, TrainDataOptions
from data.resize import imresize
from utils.images import write_png

PHOTO = np.ascontiguousarray(skimage.data.coffee()[100:197, 200:303])


def steps_at_blocks(image, phase):
    """How much larger the steps are where a block of this phase ends than elsewhere."""
    steps = np.abs(np.diff(image.astype(float).mean(axis=2), axis=0)).mean(axis=1)
    at = (np.arange(len(steps)) + 1) % 8 == phase
    return steps[at].mean() - steps[~at].mean()


def test_a_shift_puts_the_blocks_of_the_first_encoder_elsewhere():
    shifted, data = parse("jpeg5>shift3,4>jpeg95").roundtrip(PHOTO)
    # Blocks end behind rows 5, 13, … of the picture, as the first three rows of the grid are cut off.
    assert steps_at_blocks(shifted, 5) > 1 > steps_at_blocks(shifted, 0)
    assert steps_at_blocks(compress(PHOTO, "jpeg5>jpeg95"), 0) > 1
    # The file is of the picture, from its corner: what the second encoder made of the cropped first.
    padded = np.pad(PHOTO, ((3, 0), (4, 0), (0, 0)), mode="edge")
    np.testing.assert_array_equal(shifted, compress(compress(padded, "jpeg5")[3:, 4:], "jpeg95"))
    np.testing.assert_array_equal(decode(data, "jpeg95"), shifted)
    # A whole period of the grid is no shift.
    inside = (slice(16, -16), slice(16, -16))
    same = [compress(PHOTO, spec)[inside] for spec in ("jpeg30:444>shift8,16>jpeg50:444", "jpeg30:444>jpeg50:444")]
    np.testing.assert_array_equal(*same)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    down=st.integers(0, 63),
    right=st.integers(0, 63),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_shift_keeps_any_size_and_a_resize_gives_one_size_to_both(height, width, down, right, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    codec = parse(f"jpeg40>shift{down},{right}>jpeg30:444>webp20")
    assert codec.compress(image).shape == image.shape and codec.keeps_size
    assert codec.original_of(image) is image
    codec = parse(f"jpeg80>shift{down},{right}>webp50>resize0.5>jpeg70>shift{right},0>jpeg9")
    assert not codec.keeps_size
    assert codec.compress(image).shape == codec.original_of(image).shape == (-(-height // 2), -(-width // 2), 3)


def test_a_resize_is_matlabs_and_the_bytes_are_those_of_the_small_picture():
    picture, data = parse("jpeg80>resize0.5>jpeg70").roundtrip(PHOTO)
    small = imresize(compress(PHOTO, "jpeg80"), 0.5)
    np.testing.assert_array_equal(picture, compress(small, "jpeg70"))
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (52, 49)


def test_ranges_of_a_shift_are_drawn_from_and_a_fixed_one_takes_no_number():
    codec, rng = parse("jpeg10..90>shift0..7,2..3>jpeg40"), np.random.default_rng(0)
    drawn = {(chain.steps[1].down, chain.steps[1].right) for chain in (codec.draw(rng) for _ in range(300))}
    assert drawn == {(down, right) for down in range(8) for right in (2, 3)}
    before = rng.bit_generator.state
    fixed = parse("jpeg30>shift4,4>jpeg40")
    assert fixed.draw(rng) == fixed and rng.bit_generator.state == before


def test_an_evaluation_set_resizes_the_original_alike(tmp_path):
    write_png(tmp_path / "photo.png", PHOTO)
    options = EvaluationSetOptions(name="set", hr=tmp_path, compressions=("jpeg80>resize0.5>jpeg70",))
    (item,) = items_of(options, 1)
    pair = load(item, 1)
    np.testing.assert_array_equal(pair.hr, imresize(PHOTO, 0.5))
    assert pair.lr.shape == pair.hr.shape == (49, 52, 3)
    assert pair.bits_per_pixel == 8 * len(pair.file.data) / (49 * 52)
    (item,) = items_of(options, 2)
    pair = load(item, 2)  # clean LR: 48×51, half of it 24×26; half of HR 48×51: the last column has no whole partner
    assert pair.hr.shape == (48, 50, 3) and pair.lr.shape == (24, 25, 3)
    np.testing.assert_array_equal(pair.hr, imresize(PHOTO[:96, :102], 0.5)[:, :50])


def test_training_takes_shifts_and_resizes_by_a_factor_of_patches_that_are_compressed_as_drawn(tmp_path):
    known = {"hr": tmp_path, "compress": "on_the_fly"}
    TrainDataOptions(**known, compressions=("jpeg10..90>shift0..7,0..7>jpeg20..80:444",))
    options = TrainDataOptions(**known, compressions=("jpeg80>resize0.4..0.9>jpeg70>resize0.5>webp9",), patch_size=48)
    assert options.least_side == 240
    with pytest.raises(ValidationError, match="`compress: on_the_fly`"):
        TrainDataOptions(hr=tmp_path, compressions=("jpeg80>resize0.5>jpeg70",))
    with pytest.raises(ValidationError, match="size of a whole image"):
        TrainDataOptions(**known, compressions=("longest640>jpeg70",))
    with pytest.raises(ValidationError, match="given twice"):
        TrainDataOptions(**known, compressions=("jpeg80", "jpeg80:420"))


def test_one_component_is_y_and_a_grey_image_keeps_its_pixels():
    codec = parse("jpeg40>shift4,4>jpeg30")
    grey = cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)
    image = np.repeat(grey[..., None], 3, axis=2)
    colour, (pixels, data) = codec.compress(image), codec.of_grey().roundtrip(image)
    np.testing.assert_array_equal(pixels, colour)
    with Image.open(io.BytesIO(data)) as file:
        assert file.mode == "L"
    assert str(codec.of_grey()) == "jpeg40:400>shift4,4>jpeg30:400" and len(data) < len(codec.encode(image))
    coded = cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(compress(PHOTO, "jpeg30:400")[..., 1], coded)
