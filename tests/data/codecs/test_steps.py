"""Steps that change a picture's size: exact sizes, and originals that stay in place at any scale."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from data.codecs import parse
from data.codecs.steps import Longest, Resize, Sizing, parse_step, size_after
from data.resize import imresize

PHOTO = np.ascontiguousarray(skimage.data.coffee()[:240, :360])


@given(height=st.integers(1, 20_000), width=st.integers(1, 20_000), side=st.integers(16, 65_000))
def test_a_longest_side_is_met_exactly_and_nothing_is_enlarged(height, width, side):
    step = parse_step(f"longest{side}")
    assert isinstance(step, Longest) and str(step) == f"longest{side}" and step.least is None
    size = size_after(height, width, step.factor(height, width))
    assert max(size) == min(side, max(height, width))
    assert size == (height, width) or min(size) <= min(height, width)


@given(low=st.integers(100, 4000), high=st.integers(100, 4000), seed=st.integers(0, 2**32))
def test_a_drawn_resize_lies_in_its_range_and_is_a_spec(low, high, seed):
    low, high = sorted((low, high))
    text = f"resize{low / 1000:g}..{high / 1000:g}"
    if low == high:
        return
    step = parse_step(text)
    assert isinstance(step, Resize) and step.is_range and str(step) == text and step.least == low / 1000
    drawn = step.draw(np.random.default_rng(seed))
    assert not drawn.is_range and parse_step(str(drawn)) == drawn
    assert low <= 1000 * drawn.factor(9, 9) <= high and drawn.factor(9, 9) != 1


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    scale=st.sampled_from([1, 2, 3]),
    spec=st.sampled_from(
        ["longest40>jpeg50", "resize0.7>webp9>longest17>jpeg9", "jpeg9>shift3,4>jpeg9>resize1.3>jpeg9"]
    ),
)
def test_the_original_has_the_pictures_size_times_the_scale(height, width, scale, spec):
    codec, image = parse(spec), np.zeros((height, width, 3), np.uint8)
    resizes = sum(isinstance(step, Sizing) for step in codec.steps)
    picture = codec.compress(image)
    original = codec.original_of(np.zeros((height * scale, width * scale, 3), np.uint8), scale)
    for axis in (0, 1):
        assert 0 <= picture.shape[axis] * scale - original.shape[axis] <= resizes * (scale - 1)


@pytest.mark.parametrize("spec", ["longest97>jpeg100:444", "resize0.83>jpeg100:444>longest67>jpeg100:444"])
def test_the_original_stays_in_place_to_the_far_corner(spec):
    codec = parse(spec)
    small = imresize(PHOTO, 0.5)
    picture, original = codec.compress(small), codec.original_of(PHOTO, 2)
    height, width = original.shape[0] // 2, original.shape[1] // 2
    again = imresize(original[: 2 * height, : 2 * width], 0.5).astype(float)
    corner = (slice(height - 24, height), slice(width - 24, width))
    errors = {
        (y, x): np.abs(np.roll(picture, (y, x), (0, 1))[corner].astype(float) - again[corner]).mean()
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
    }
    assert min(errors, key=errors.__getitem__) == (0, 0) and errors[0, 0] < 0.5 * sorted(errors.values())[1]
