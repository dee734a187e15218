"""losses.spectrum against a plain NumPy reference, and what it asks for."""

import numpy as np
import pytest
import torch

from losses import SpectrumLoss, SpectrumLossOptions


def reference(sr, hr, side, floor):
    """The same in NumPy, window by window."""
    taper = np.outer(*[0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1, side + 1) / side)] * 2)
    differences = []
    for image, channel in np.ndindex(sr.shape[:2]):
        for top in range(0, sr.shape[2] - side + 1, side // 2):
            for left in range(0, sr.shape[3] - side + 1, side // 2):
                both = [
                    np.abs(np.fft.rfft2(x[image, channel, top : top + side, left : left + side] * taper))
                    for x in (sr, hr)
                ]
                differences.append(np.abs(np.log(both[0] + floor) - np.log(both[1] + floor)))
    return np.mean(differences)


@pytest.mark.parametrize(("side", "floor"), [(8, 0.1), (16, 0.02)])
def test_equals_a_plain_reference(side, floor):
    rng = np.random.default_rng(0)
    sr, hr = rng.random((2, 2, 3, 33, 40))
    loss = SpectrumLoss(SpectrumLossOptions(window=side, floor=floor, weight=0.5))
    expected = 0.5 * reference(sr, hr, side, floor)
    assert loss(torch.from_numpy(sr), torch.from_numpy(hr)).item() == pytest.approx(expected, rel=1e-4)


def test_texture_in_another_place_costs_less_than_none():
    grain = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    texture = 0.5 + 0.2 * torch.nn.functional.avg_pool2d(grain, 3, 1, 1)
    moved, smooth = texture.roll((5, 9), (2, 3)), torch.nn.functional.avg_pool2d(texture, 9, 1, 4)
    loss = SpectrumLoss(SpectrumLossOptions())
    assert loss(texture, texture) == 0
    assert loss(moved, texture) < 0.5 * loss(smooth, texture)
    assert (moved - texture).abs().mean() > (smooth - texture).abs().mean()  # pixels prefer none


def test_the_gradient_is_finite_where_there_is_no_texture():
    black = torch.zeros(1, 3, 32, 32, requires_grad=True)
    SpectrumLoss(SpectrumLossOptions())(black, torch.rand(1, 3, 32, 32)).backward()
    assert black.grad.isfinite().all()
