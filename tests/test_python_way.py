"""README's lines for notebooks: `load_restorer` and `score`."""

import numpy as np
import pytest

from inference import load_restorer
from metrics import score
from metrics.psnr_ssim import psnr_rgb, psnr_y, ssim_y
from utils.errors import UserError


def test_a_bundled_network_restores_an_array(photos):
    image = np.ascontiguousarray(photos["coffee"][:40, :48])
    restored = load_restorer("cisrnet_x2", device="cpu")(image)
    assert restored.shape == (80, 96, 3) and restored.dtype == np.uint8
    assert not np.array_equal(restored, load_restorer("cisrnet_x2", device="cpu", strength=0.5)(image))


def test_scores_are_those_of_the_metrics(photos):
    original = np.ascontiguousarray(photos["coffee"][:64, :64])
    other = np.clip(original.astype(int) + 3, 0, 255).astype(np.uint8)
    assert score(other, original) == {"psnr_y": psnr_y(other, original, 0), "ssim_y": ssim_y(other, original, 0)}
    figures = score(other, original, metrics=["psnr_rgb", "psnr_y"], border=2, convention="edsr")
    assert figures == {"psnr_rgb": psnr_rgb(other, original), "psnr_y": psnr_y(other, original, 2, "edsr")}


def test_what_is_not_there_is_said():
    with pytest.raises(UserError, match="no weights of this name"):
        load_restorer("nothing_x9")
    with pytest.raises(UserError, match="cannot be compared"):
        score(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 21, 3), np.uint8))
