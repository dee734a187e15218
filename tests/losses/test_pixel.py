"""Pixel losses against their formulas in numpy."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from losses import PixelLoss, PixelLossOptions

SR, HR = np.random.default_rng(0).random((2, 2, 3, 9, 7))
FORMULAS = {
    "l1": lambda d, eps: np.abs(d).mean(),
    "mse": lambda d, eps: (d**2).mean(),
    "charbonnier": lambda d, eps: np.sqrt(d**2 + eps).mean(),
}


@pytest.mark.parametrize("type_", FORMULAS)
@pytest.mark.parametrize("value_range", [1, 255])
@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_weighted_formula(type_, value_range, weight):
    loss = PixelLoss(PixelLossOptions(type=type_, weight=weight, value_range=value_range, eps=1e-3))
    expected = weight * FORMULAS[type_]((SR - HR) * value_range, 1e-3)
    got = loss(torch.from_numpy(SR), torch.from_numpy(HR))
    assert got.shape == ()
    assert got.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("type_", FORMULAS)
def test_luma_is_a_second_distance_on_y_as_it_is_scored(type_):
    loss = PixelLoss(PixelLossOptions(type=type_, weight=0.5, value_range=255, eps=1e-3, luma=3))
    difference = (SR - HR) * 255
    y = np.einsum("nchw,c->nhw", difference, np.array([65.481, 128.553, 24.966]) / 255)
    expected = 0.5 * (FORMULAS[type_](difference, 1e-3) + 3 * FORMULAS[type_](y, 1e-3))
    assert loss(torch.from_numpy(SR), torch.from_numpy(HR)).item() == pytest.approx(expected, rel=1e-6)


def test_luma_leaves_out_errors_of_colour():
    colour = torch.tensor([24.966, 0.0, -65.481])[:, None, None].expand(1, 3, 4, 4) / 255
    rgb, with_luma = (PixelLoss(PixelLossOptions(type="l1", luma=luma)) for luma in (0, 5))
    hr = torch.zeros(1, 3, 4, 4)
    assert with_luma(colour, hr).item() == pytest.approx(rgb(colour, hr).item(), abs=1e-6)


@pytest.mark.parametrize("type_", FORMULAS)
def test_float32_whatever_comes_in(type_):
    sr, hr = torch.full((4, 3, 64, 64), 0.5, dtype=torch.bfloat16), torch.full((4, 3, 64, 64), 0.501)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = PixelLoss(PixelLossOptions(type=type_, value_range=255))(sr, hr)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(FORMULAS[type_](np.array(0.001 * 255), 1e-6), rel=1e-3)


def test_charbonnier_has_a_gradient_where_images_are_equal():
    sr = torch.zeros(1, 3, 4, 4, requires_grad=True)
    PixelLoss(PixelLossOptions(type="charbonnier"))(sr, torch.zeros(1, 3, 4, 4)).backward()
    assert torch.equal(sr.grad, torch.zeros_like(sr))


def test_images_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="must have one shape"):
        PixelLoss(PixelLossOptions(type="l1"))(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(
    "options", [{}, {"type": "l2"}, {"type": "l1", "value_range": 100}, {"type": "l1", "wieght": 1}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValidationError):
        PixelLossOptions(**options)


@pytest.mark.parametrize(("type_", "power"), [("l1", 1), ("charbonnier", 1), ("mse", 2)])
@pytest.mark.parametrize("balance", [0.5, 1.0])
def test_balance_divides_each_patch_by_its_inputs_error(type_, power, balance):
    loss = PixelLoss(PixelLossOptions(type=type_, eps=1e-3, balance=balance, luma=2))
    before = np.stack([HR[0] + 0.1, HR[1] - 0.02])
    y = np.array([65.481, 128.553, 24.966]) / 255
    expected = 0.0
    for sr, hr, given in zip(SR, HR, before):
        distance = FORMULAS[type_](sr - hr, 1e-3) + 2 * FORMULAS[type_](np.einsum("chw,c->hw", sr - hr, y), 1e-3)
        error = np.sqrt(np.mean((given - hr) ** 2))
        expected += distance * (8 / 255 / error) ** (power * balance) / 2
    got = loss(*(torch.from_numpy(images) for images in (SR, HR, before)))
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_balance_stays_finite_for_a_perfect_input_and_needs_it():
    loss = PixelLoss(PixelLossOptions(type="mse", balance=1.0))
    hr = torch.from_numpy(HR)
    assert loss(torch.from_numpy(SR), hr, hr).isfinite()
    with pytest.raises(ValueError, match="balance"):
        loss(torch.from_numpy(SR), hr)
