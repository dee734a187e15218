"""NIQE against its definition written out, and what it must do; the model of natural images is made here."""

import math

import cv2
import numpy as np
import pytest
import scipy.io
from scipy.special import gamma
from skimage import data

from data.resize import imresize
from losses import LossWeightsError
from metrics.niqe import FEATURES, Niqe, _halved, block_features
from metrics.psnr_ssim import MetricError


def write_parameters(path, mean, covariance):
    scipy.io.savemat(path, {"mu_prisparam": mean[None], "cov_prisparam": covariance}, do_compression=True)
    return path


@pytest.fixture(scope="module")
def natural(tmp_path_factory):
    """A model of natural images from three photographs."""
    photos = [data.astronaut(), data.coffee(), data.chelsea()]
    features = np.concatenate([block_features(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)) for photo in photos])
    path = tmp_path_factory.mktemp("niqe") / "modelparameters.mat"
    return write_parameters(path, features.mean(0), np.cov(features, rowvar=False))


def plain_fit(values):
    """Shape and scales, by a search over shapes; sums in plain Python."""
    values = [float(v) for v in values.ravel()]
    negative, positive = [v for v in values if v < 0], [v for v in values if v > 0]
    left = math.sqrt(sum(v * v for v in negative) / len(negative))
    right = math.sqrt(sum(v * v for v in positive) / len(positive))
    ratio = (sum(map(abs, values)) / len(values)) ** 2 / (sum(v * v for v in values) / len(values))
    skew = left / right
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shapes = [0.2 + 0.001 * n for n in range(9801)]
    shape = min(shapes, key=lambda a: abs(gamma(2 / a) ** 2 / (gamma(1 / a) * gamma(3 / a)) - wanted))
    scale = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def test_features_of_a_block_by_the_definition():
    y = data.camera()[100:196, 200:296]
    window = np.array([[math.exp(-(i * i + j * j) / (2 * (7 / 6) ** 2)) for i in range(-3, 4)] for j in range(-3, 4)])
    padded = np.pad(y.astype(float), 3, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    mean = (views * window / window.sum()).sum((2, 3))
    deviation = np.sqrt(np.abs((views**2 * window / window.sum()).sum((2, 3)) - mean**2))
    block = (y - mean) / (deviation + 1)
    shape, left, right = plain_fit(block)
    expected = [shape, (left + right) / 2]
    rolled = [
        np.roll(block, 1, 1),
        np.roll(block, 1, 0),
        np.roll(block, (1, 1), (0, 1)),
        np.roll(block, (1, -1), (0, 1)),
    ]
    for neighbour in rolled:
        shape, left, right = plain_fit(block * neighbour)
        expected += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    found = block_features(y)
    assert found.shape == (1, FEATURES)
    np.testing.assert_allclose(found[0, :18], expected, atol=2e-3)


def test_the_second_scale_is_matlabs_half():
    y = data.camera()[100:292, 200:392]
    # MATLAB's of 8 bits is rounded after each axis; beside edges ours may leave the range.
    difference = np.clip(_halved(y), 0, 255) - imresize(y, 0.5)
    assert difference.shape == (96, 96) and np.abs(difference).max() < 1.5 and np.abs(difference).mean() < 0.4


def test_distance_is_mahalanobis_with_the_mean_of_both_covariances(natural):
    photo = data.astronaut()[:300, :290]  # 3 × 3 whole blocks
    features = block_features(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    assert features.shape == (9, FEATURES)
    model = scipy.io.loadmat(natural)
    difference = model["mu_prisparam"].ravel() - features.mean(0)
    middle = (model["cov_prisparam"] + np.cov(features.T)) / 2
    expected = math.sqrt(difference @ np.linalg.pinv(middle) @ difference)
    assert Niqe(natural)(photo) == pytest.approx(expected, rel=1e-9)


def test_noise_and_blocks_are_worse_than_the_photograph(natural):
    photo, metric = data.coffee(), Niqe(natural)
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 25, photo.shape), 0, 255).astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 5])[1], cv2.IMREAD_COLOR)
    clean = metric(photo)
    assert metric(noisy) > clean + 1 and metric(coded) > clean + 1
    assert math.isfinite(metric(np.zeros((200, 200, 3), np.uint8)))


def test_files_and_images_that_do_not_do(natural, tmp_path):
    with pytest.raises(LossWeightsError, match="niqe_parameters"):
        Niqe(None)
    with pytest.raises(LossWeightsError, match="no such file"):
        Niqe(tmp_path / "none.mat")
    path = tmp_path / "other.mat"
    scipy.io.savemat(path, {"mu_prisparam": np.zeros((1, 3))})
    with pytest.raises(LossWeightsError, match="36×36"):
        Niqe(path)
    path.write_bytes(b"MATLAB 5.0 MAT-file" + b"\xff" * 300)
    with pytest.raises(LossWeightsError, match="damaged"):
        Niqe(path)
    with pytest.raises(MetricError, match="192x192"):
        Niqe(natural)(np.zeros((191, 300, 3), np.uint8))
