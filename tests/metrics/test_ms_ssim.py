"""MS-SSIM against a plain reference in numpy, and what must always hold."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import correlate1d
from skimage import data

from metrics.ms_ssim import SMALLEST, ms_ssim
from metrics.psnr_ssim import MetricError

BELL = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))


def blurred(image):
    for axis in (0, 1):
        image = correlate1d(image, BELL / BELL.sum(), axis=axis)
    return image[5:-5, 5:-5]


def plain(a, b):
    """One channel, float64: the paper's product over five scales."""
    total = 1.0
    for scale, weight in enumerate([0.0448, 0.2856, 0.3001, 0.2363, 0.1333]):
        mx, my = blurred(a), blurred(b)
        vx, vy, cov = blurred(a * a) - mx**2, blurred(b * b) - my**2, blurred(a * b) - mx * my
        cs = (2 * cov + 58.5225) / (vx + vy + 58.5225)
        luminance = (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
        total *= max((cs if scale < 4 else cs * luminance).mean(), 0) ** weight
        for axis in (0, 1):
            a, b = (np.concatenate([i, i.take([-1], axis)], axis) if i.shape[axis] % 2 else i for i in (a, b))
        a, b = ((i[::2, ::2] + i[1::2, ::2] + i[::2, 1::2] + i[1::2, 1::2]) / 4 for i in (a, b))
    return total


@pytest.mark.parametrize(("photo", "quality", "size"), [("astronaut", 5, (187, 161)), ("coffee", 30, (180, 200))])
def test_equals_a_plain_reference(photo, quality, size):
    a = getattr(data, photo)()[100 : 100 + size[0], 90 : 90 + size[1]]
    b = cv2.imdecode(cv2.imencode(".jpg", a, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    expected = np.mean([plain(a[..., c].astype(float), b[..., c].astype(float)) for c in range(3)])
    assert ms_ssim(a, b) == pytest.approx(expected, abs=1e-12)
    assert expected < 0.99


def test_one_for_equal_images_and_no_more_for_opposite_ones():
    a = np.random.default_rng(0).integers(0, 256, (161, 170, 3), dtype=np.uint8)
    assert ms_ssim(a, a) == pytest.approx(1, abs=1e-12)
    assert ms_ssim(a, 255 - a) == 0  # a mean below 0 has no power


def test_images_without_room_for_the_coarsest_window_are_refused():
    small = np.zeros((SMALLEST - 1, 300, 3), np.uint8)
    with pytest.raises(MetricError, match="161x161 is needed"):
        ms_ssim(small, small)
