"""The bicubic baseline equals MATLAB's imresize."""

import numpy as np
import pytest
import torch

from data.resize import imresize
from inference.whole_image import restore
from models import build_generator


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(40, 61), (3, 5), (1, 1)])
def test_equals_imresize_in_every_pixel(photos, scale, size):
    lr = photos["coffee"][: size[0], : size[1]]
    restored = restore(build_generator({"type": "bicubic", "scale": scale}), lr)
    np.testing.assert_array_equal(restored, imresize(lr, scale) if scale > 1 else lr)


def test_works_on_batches_of_any_float_type():
    lr = torch.rand(2, 3, 7, 5, dtype=torch.float32)
    sr = build_generator({"type": "bicubic", "scale": 2})(lr)
    assert sr.shape == (2, 3, 14, 10) and sr.dtype == lr.dtype


def test_stays_on_its_device(fake_cuda):
    with fake_cuda():
        with torch.device("cuda"):
            network, lr = build_generator({"type": "bicubic", "scale": 3}), torch.empty(1, 3, 6, 7)
        sr = network(lr)
    assert sr.device.type == "cuda" and sr.shape == (1, 3, 18, 21)
