"""The relativistic average GAN against numbers worked out by hand."""

import math

import pytest
import torch

from losses import AdversarialLossOptions, RelativisticAverageGAN

GAN = RelativisticAverageGAN(AdversarialLossOptions(weight=0.5))
D_SR, D_HR = [[-1.0], [0.5]], [[2.0], [1.0]]  # means −0.25 and 1.5


def bce(logits: list[float], target: int) -> float:
    """−log σ(x) for target 1, −log(1 − σ(x)) for target 0, averaged."""
    return sum(math.log(1 + math.exp(-x if target else x)) for x in logits) / len(logits)


def logits() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(D_SR, requires_grad=True), torch.tensor(D_HR, requires_grad=True)


def test_the_generators_term():
    d_sr, d_hr = logits()
    loss = GAN.generator(d_sr, d_hr)
    expected = 0.5 * (bce([2.25, 1.25], 0) + bce([-2.5, -1.0], 1)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss.backward()
    assert d_hr.grad is None
    assert (d_sr.grad < 0).all()  # every SR logit should rise


def test_the_discriminators_halves_are_apart():
    d_sr, d_hr = logits()
    half = GAN.discriminator_hr(d_hr, d_sr.mean())
    assert half.item() == pytest.approx(bce([2.25, 1.25], 1) / 2, rel=1e-6)
    half.backward()
    assert d_sr.grad is None and (d_hr.grad < 0).all()

    d_sr, d_hr = logits()
    half = GAN.discriminator_sr(d_sr, d_hr.mean())
    assert half.item() == pytest.approx(bce([-2.5, -1.0], 0) / 2, rel=1e-6)
    half.backward()
    assert d_hr.grad is None and (d_sr.grad > 0).all()


def test_given_means_take_the_place_of_the_batchs_own():
    d_sr, d_hr = logits()
    mean_sr, mean_hr = torch.tensor(0.3, requires_grad=True), torch.tensor(-0.7, requires_grad=True)
    loss = GAN.generator(d_sr, d_hr, mean_sr, mean_hr)
    assert loss.item() == pytest.approx(0.5 * (bce([1.7, 0.7], 0) + bce([-0.3, 1.2], 1)) / 2, rel=1e-6)
    loss.backward()
    assert mean_sr.grad < 0 and mean_hr.grad is None


def test_shards_with_gathered_means_give_the_whole_batchs_loss_and_gradient():
    torch.manual_seed(0)
    whole_sr, whole_hr = torch.randn(6, 1, requires_grad=True), torch.randn(6, 1)
    whole = GAN.generator(whole_sr, whole_hr)
    (expected,) = torch.autograd.grad(whole, whole_sr)
    mean_sr, mean_hr = whole_sr.mean(), whole_hr.mean()
    shards = [GAN.generator(whole_sr[i : i + 2], whole_hr[i : i + 2], mean_sr, mean_hr) for i in (0, 2, 4)]
    sharded = torch.stack(shards).mean()
    (got,) = torch.autograd.grad(sharded, whole_sr)
    torch.testing.assert_close(sharded, whole)
    torch.testing.assert_close(got, expected)


def test_large_logits_of_half_precision_stay_finite():
    d_sr, d_hr = torch.full((2, 1), -3e4, dtype=torch.float16), torch.full((2, 1), 6e4, dtype=torch.float16)
    for loss in (
        GAN.generator(d_sr, d_hr),
        GAN.discriminator_hr(d_hr, d_sr.mean()),
        GAN.discriminator_sr(d_sr, d_hr.mean()),
    ):
        assert loss.dtype == torch.float32 and loss.isfinite()
    assert GAN.generator(d_sr, d_hr).item() == pytest.approx(0.5 * 9e4, rel=1e-3)


def test_terms_stay_on_their_device_and_never_wait_for_it(fake_cuda):
    with fake_cuda():
        d_sr, d_hr = (torch.rand(4, 1, device="cuda") for _ in range(2))
        halves = GAN.discriminator_hr(d_hr, d_sr.mean()), GAN.discriminator_sr(d_sr, d_hr.mean())
        for term in (GAN.generator(d_sr, d_hr), *halves):
            assert term.device.type == "cuda" and term.shape == ()
