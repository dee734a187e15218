"""data.resize: equal to MATLAB's arithmetic in every value, at any scale and size."""

import math
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.resize import plain_imresize
from data.resize import imresize, modcrop, resize_matrix, resized
from utils.errors import UserError

# `coffee_S`: skimage's photo at 1/S, float64, not rounded; `chelsea_3`: uint8, rounded after each axis. Made by
# a Python port of MATLAB's imresize.
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "matlab" / "bicubic.npz")
COFFEE = skimage.data.coffee()[100:220, 200:350]
CHELSEA = skimage.data.chelsea()[50:151, 90:167]  # 101 x 77: no multiple of 3


def reference_axis(values: list[float], scale: float, halves: str) -> list[float]:
    """One line of samples, as MATLAB's documentation has it, one number at a time."""
    kernel_scale = min(scale, 1.0)
    width = 4 / kernel_scale
    result = []
    for x in range(1, math.ceil(len(values) * scale) + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / 2)
        taps = range(left, left + math.ceil(width) + 2)
        weights = [kernel_scale * cubic(kernel_scale * (u - tap)) for tap in taps]
        norm = 0.0
        for weight in weights:
            norm += weight
        total = 0.0
        for tap, weight in zip(taps, weights):
            position = (tap - 1) % (2 * len(values))  # mirrored, the edge sample twice
            total += weight / norm * values[min(position, 2 * len(values) - 1 - position)]
        rounded = math.floor(total + 0.5) if halves == "up" else round(total)  # Python's own rounds halves to even
        result.append(min(max(rounded, 0), 255))
    return result


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * (x * x * x) - 2.5 * (x * x) + 1
    return -0.5 * (x * x * x) + 2.5 * (x * x) - 4 * x + 2 if x <= 2 else 0.0


def reference(image: np.ndarray, scale: float, halves: str) -> np.ndarray:
    for axis in (0, 1):
        image = np.apply_along_axis(lambda line: reference_axis(line.tolist(), scale, halves), axis, image)
    return image


@st.composite
def images(draw) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 13), st.integers(1, 13)))
    shape += draw(st.sampled_from([(), (1,), (3,), (4,)]))
    kind, seed = draw(st.sampled_from(["noise", "black and white", "grey"])), draw(st.integers(0, 2**32 - 1))
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return {"noise": noise, "black and white": noise // 128 * 255, "grey": noise // 64 + 100}[kind].astype(np.uint8)


SCALES = st.one_of(
    st.integers(1, 8).map(lambda s: 1 / s),
    st.integers(1, 5).map(float),
    st.sampled_from([0.1, 0.3, 0.4, 0.6, 0.7, 0.75, 0.9, 1.2, 1.5, 2.5]),  # rich in exact halves
    st.floats(0.08, 4.5),
)


@settings(max_examples=120, deadline=None)
@given(images(), SCALES, st.sampled_from(["up", "to even"]))
def test_equal_to_plain_float64_at_any_scale_and_size(image, scale, halves):
    result = imresize(image, scale, halves)
    assert result.dtype == np.uint8
    assert result.shape[:2] == tuple(math.ceil(n * scale) for n in image.shape[:2])
    np.testing.assert_array_equal(result, reference(image, scale, halves))


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("photo", ["astronaut", "coffee", "chelsea", "rocket"])
def test_equal_on_photographs(photo, factor):
    image = getattr(skimage.data, photo)()
    np.testing.assert_array_equal(imresize(image, 1 / factor), plain_imresize(image, 1 / factor))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_rounding_is_all_that_differs_from_golden(factor):
    # Half a level of each axis, that of the first spread by the second's weights, whose sizes add up to 1.25 at most.
    golden = GOLDEN[f"coffee_{factor}"].clip(0, 255)
    np.testing.assert_allclose(imresize(COFFEE, 1 / factor), golden, rtol=0, atol=0.5 * 1.25 + 0.5)


def test_odd_size_equals_golden():
    result = imresize(CHELSEA, 1 / 3)  # at 1/3 no exact result ends in .5: all roundings agree
    assert result.shape == (34, 26, 3)
    np.testing.assert_array_equal(result, GOLDEN["chelsea_3"])


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_matrices_resize_without_rounding(factor):
    matrices = (resize_matrix(size, 1 / factor) for size in COFFEE.shape[:2])
    result = resized(COFFEE.astype(np.float32), *matrices)
    np.testing.assert_allclose(result, GOLDEN[f"coffee_{factor}"], rtol=0, atol=1e-3)


def test_height_is_rounded_before_width():
    once = np.clip(np.floor(GOLDEN["coffee_2"] + 0.5), 0, 255)
    assert (imresize(COFFEE, 0.5) != once).any()
    turned = imresize(np.ascontiguousarray(COFFEE.swapaxes(0, 1)), 0.5).swapaxes(0, 1)
    assert (imresize(COFFEE, 0.5) != turned).any()


@pytest.mark.parametrize("low", [0, 1, 2, 253])
def test_halves_are_rounded_up_or_to_the_even_neighbour(low):
    image = np.array([[low, low], [low + 1, low + 1]], np.uint8)
    assert imresize(image, 0.5).tolist() == [[low + 1]]
    assert imresize(image, 0.5, "to even").tolist() == [[low + low % 2]]


def test_overshoot_is_clipped():
    edge = np.zeros((32, 32, 3), np.uint8)
    edge[:, 16:] = 255
    for halves in ("up", "to even"):
        assert (imresize(edge, 0.5, halves)[:, 10:] == 255).all() and (imresize(edge, 0.5, halves)[:, :6] == 0).all()


def test_scale_one_changes_nothing():
    np.testing.assert_array_equal(imresize(COFFEE, 1), COFFEE)


def test_views_are_taken_and_left_alone():
    before = COFFEE.copy()
    view = COFFEE[::-1, ::2]
    np.testing.assert_array_equal(imresize(view, 0.5), imresize(view.copy(), 0.5))
    np.testing.assert_array_equal(COFFEE, before)


def test_published_sizes():
    """ceil(n * 1/s) is exact division rounded up, for every size an image may have."""
    for factor in range(1, 17):
        assert all(math.ceil(n * (1 / factor)) == -(-n // factor) for n in range(1, 10000))


@pytest.mark.parametrize("image", [COFFEE / 255, COFFEE[:0], COFFEE[None], COFFEE[0, 0], np.zeros((4, 4, 5), np.uint8)])
def test_other_arrays_are_refused(image):
    with pytest.raises(ValueError, match="imresize takes uint8"):
        imresize(image, 0.5)


@pytest.mark.parametrize("scale", [0, -0.5, math.nan, math.inf])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="positive scale"):
        imresize(COFFEE, scale)


def test_modcrop():
    for scale, size in ((1, (101, 77)), (2, (100, 76)), (3, (99, 75)), (4, (100, 76))):
        cropped = modcrop(CHELSEA, scale)
        assert cropped.shape[:2] == size
        np.testing.assert_array_equal(cropped, CHELSEA[: size[0], : size[1]])
    with pytest.raises(UserError, match=r"3x5 pixels .* scale 4"):
        modcrop(np.zeros((5, 3, 3), np.uint8), 4)
