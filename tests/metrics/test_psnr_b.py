"""PSNR-B against its definition written out pixel by pixel, and what it must do."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.psnr_b import psnr_b
from metrics.psnr_ssim import MetricError, psnr_rgb

Y = {"matlab": (65.481 / 255, 128.553 / 255, 24.966 / 255), "grey": (0, 1, 0)}


def plain_bef(y):
    """Yim and Bovik's factor in loops over all pairs of neighbours."""
    height, width = y.shape
    at_blocks, elsewhere = [], []
    for row in range(height):
        for column in range(width):
            if column + 1 < width:
                kind = at_blocks if (column + 1) % 8 == 0 else elsewhere
                kind.append((y[row, column] - y[row, column + 1]) ** 2)
            if row + 1 < height:
                kind = at_blocks if (row + 1) % 8 == 0 else elsewhere
                kind.append((y[row, column] - y[row + 1, column]) ** 2)
    blocks, others = sum(at_blocks) / len(at_blocks), sum(elsewhere) / len(elsewhere)
    return (blocks - others) * math.log2(8) / math.log2(min(height, width)) if blocks > others else 0.0


def plain(restored, original, convention):
    a, b = restored.astype(np.float64), original.astype(np.float64)
    error = ((a - b) ** 2).mean() + plain_bef(a @ np.array(Y[convention]))
    return 10 * math.log10(255**2 / error) if error else math.inf


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(9, 27), st.integers(9, 27)),
    quality=st.integers(1, 60),
    convention=st.sampled_from(list(Y)),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_its_definition_on_images_of_any_size(size, quality, convention, seed):
    rng = np.random.default_rng(seed)
    original = cv2.GaussianBlur(rng.integers(0, 256, (*size, 3), dtype=np.uint8), (5, 5), 2)
    restored = cv2.imdecode(cv2.imencode(".jpg", original, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    assert psnr_b(restored, original, convention) == pytest.approx(plain(restored, original, convention), abs=1e-9)


def test_blocks_cost_something_and_only_where_they_are_seen(photos):
    photo = photos["astronaut"]
    coded = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_COLOR)
    assert psnr_b(coded, photo) < psnr_rgb(coded, photo) - 0.5
    # Only the restored image's blocks are looked at, and a grid of another phase is none.
    assert psnr_b(photo, coded) == pytest.approx(psnr_rgb(photo, coded), abs=0.05)
    assert psnr_b(coded[4:-4, 4:-4], photo[4:-4, 4:-4]) == pytest.approx(
        psnr_rgb(coded[4:-4, 4:-4], photo[4:-4, 4:-4]), abs=1e-9
    )
    flat = np.full((16, 16, 3), 7, np.uint8)
    assert psnr_b(flat, flat) == math.inf


def test_sizes_without_a_block_border_are_refused():
    small = np.zeros((8, 20, 3), np.uint8)
    with pytest.raises(MetricError, match="9x9 is needed"):
        psnr_b(small, small)
