from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from skimage import data
from torch import Tensor

from models import CISRPSI, WeightsError, build_generator, count_parameters, load_weights
from models.cisr_psi import AdaptiveCombination, bicubic_up
from models.nonlocal_prior import NonLocalPrior
from models.weight_files import export_weights

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {"num_feat": 16, "arm_groups": 1, "rem_groups": 1, "blocks": 2, "mask": "released"}


def small(scale: int = 2, **options) -> CISRPSI:
    torch.manual_seed(0)
    return build_generator({"type": "cisr_psi", "scale": scale, **SMALL, **options})


def photo(height: int = 24, width: int = 20) -> Tensor:
    crop = data.astronaut()[60 : 60 + height, 180 : 180 + width]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize(
    "name", [f"x{s}_feats16_groups1_blocks2" for s in (2, 3, 4)] + ["x2_feats16_groups1_blocks2_split"]
)
def test_released_files_give_the_released_outputs(name):
    golden = {k: torch.from_numpy(v) for k, v in np.load(GOLDEN / f"cisr_psi_{name}.npz").items()}
    model = build_generator(
        {"type": "cisr_psi", "scale": int(name[1]), **SMALL, "weights": str(GOLDEN / f"cisr_psi_{name}.pth")}
    )
    z = golden["input"]
    with torch.inference_mode():
        down = F.interpolate(bicubic_up(z, model.scale), size=z.shape[-2:], mode="bicubic")
        prior = model.nonlocal_prior(z, down)
        outputs = {}
        for i, (restored, sr) in enumerate(model.unfold(z / 255)):
            outputs |= {f"deblock_{i}": restored * 255, f"sr_{i}": sr * 255}
    assert (prior - golden["nonlocal1_of_input_and_upsampled_down"]).abs().max() < 0.003
    for key in golden.keys() & outputs.keys():
        tolerance = torch.where(golden[key].abs() > 255, 1e-4 * golden[key].abs(), 0.01)
        assert ((outputs[key] - golden[key]).abs() <= tolerance).all(), key
    assert len(golden.keys() & outputs.keys()) >= 1


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"scale": 2}, 9_555_274),
        ({"scale": 3}, 9_742_506),
        ({"scale": 4}, 9_708_746),
        ({"scale": 2, "arm_groups": 2, "rem_groups": 2}, 3_974_314),
    ],
    ids=["x2", "x3", "x4", "tiny x2"],
)
def test_published_sizes_and_shapes_without_a_look_at_values(options, parameters):
    with torch.device("meta"):
        model = build_generator({"type": "cisr_psi", **options})
    assert count_parameters(model) == parameters
    assert model.options.steps == 3
    # Meta tensors have no values: reading one back to the host, or making one elsewhere, would fail here.
    scale = options["scale"]
    steps = model.unfold(torch.empty(2, 3, 97, 83, device="meta"))
    assert [tuple(restored.shape) for restored, _ in steps] == [(2, 3, 97, 83)] * 3
    assert [tuple(sr.shape) for _, sr in steps] == [(2, 3, 97 * scale, 83 * scale)] * 3


def test_options_reach_the_operators():
    unsplit = small(window="none", mask="clamped")
    assert [(prior.window, prior.mask) for prior in (unsplit.arm.prior, unsplit.rem.prior)] == [(None, "clamped")] * 2
    assert [prior.window for prior in (small().arm.prior, small(window=120).rem.prior)] == [80, 120]
    assert len(small(steps=1).unfold(photo())) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"scale": 5}, {"window": 2}, {"window": "all"}, {"mask": "both"}, {"prior": 1}, {"reduction": 17}, {"group": 1}],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValidationError):
        build_generator({"type": "cisr_psi", "scale": 2, **SMALL, **wrong})


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_steps_by_hand_are_unfold_and_forward(scale):
    model, lr = small(scale), photo()
    with torch.no_grad():
        x_hat = bicubic_up(lr, scale)
        for restored, sr in model.unfold(lr):
            y_hat, x_hat = model.step(lr, x_hat)
            assert torch.equal(y_hat, restored)
            assert torch.equal(x_hat, sr)
        assert torch.equal(model(lr), x_hat)


def test_one_step_gives_every_parameter_but_the_priors_a_gradient():
    model, lr = small(), photo()
    y_hat, x_hat = model.step(lr, bicubic_up(lr, 2))
    (y_hat.square().mean() + x_hat.square().mean()).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    priors = {name for name, _ in model.named_parameters() if ".prior." in name}
    assert without == priors
    assert not any(parameter.requires_grad for name, parameter in model.named_parameters() if name in priors)


def test_without_a_prior_the_modules_see_the_compressed_image_in_its_place(tmp_path):
    model, without = small(steps=1), small(steps=1, prior="none")
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), without.parameters(), strict=True))
    for module in (model.arm, model.rem):
        module.prior = ReturnsZ()
    with torch.inference_mode():
        for expected, found in zip(model.unfold(photo())[0], without.unfold(photo())[0], strict=True):
            assert torch.equal(expected, found)
        for prior in (without.arm.prior, without.rem.prior):
            for parameter in prior.parameters():
                parameter.fill_(torch.nan)  # not looked at
        assert without(photo()).isfinite().all()
    path = tmp_path / "model.safetensors"
    path.write_bytes(export_weights(small(), {}))
    load_weights(without, path)  # of a network with a prior
    assert without(photo()).isfinite().all()


def test_tiles_can_hold_the_averages_of_a_network_without_a_prior():
    assert small(prior="none").averages_can_be_held and not small().averages_can_be_held


class ReturnsZ(torch.nn.Module):
    def forward(self, z: Tensor, guide: Tensor) -> Tensor:
        return z


def test_combination_is_a_weighted_mean():
    torch.manual_seed(0)
    combine = AdaptiveCombination()
    first, second, third = (torch.rand(3, 2, 3, 8, 9) * 255).unbind()
    with torch.no_grad():
        mixed = combine(torch.cat([first, second, third], dim=1))
        same = combine(torch.cat([first, first, first], dim=1))
    stacked = torch.stack([first, second, third])
    assert (mixed >= stacked.amin(dim=0) - 1e-3).all()
    assert (mixed <= stacked.amax(dim=0) + 1e-3).all()
    assert torch.allclose(same, first, atol=1e-3)


def test_autocast_keeps_images_in_float32():
    model, lr = small(mask="clamped"), photo()
    with torch.no_grad():
        expected = model(lr)
        with torch.autocast("cpu", torch.bfloat16):
            restored, sr = model.unfold(lr)[-1]
    assert restored.dtype == sr.dtype == torch.float32
    assert (sr - expected).abs().mean() < 0.01 * expected.abs().mean()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (3, 3)])
def test_smallest_images_are_restored(scale, size):
    with torch.no_grad():
        sr = small(scale)(photo(*size))
    assert sr.shape == (1, 3, size[0] * scale, size[1] * scale)
    assert sr.isfinite().all()


def test_a_released_prior_fills_both_operators_and_nothing_else():
    model = small()
    for name, parameter in model.named_parameters():
        if ".prior." in name:
            torch.nn.init.ones_(parameter)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_weights(model, GOLDEN / "cisr_psi_nonlocal_prior.pth")
    published = torch.load(GOLDEN / "cisr_psi_nonlocal_prior.pth", weights_only=True)
    for prior in (model.arm.prior, model.rem.prior):
        for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
            assert torch.equal(prior.bandwidth.state_dict()[name], published[f"conv1.{name}"])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == (".prior." not in name), name


def test_a_trained_prior_is_exported_and_loaded_alike(tmp_path):
    prior, model, other = NonLocalPrior(), small(), NonLocalPrior()
    path = tmp_path / "prior.safetensors"
    path.write_bytes(export_weights(prior, {}))
    load_weights(model, path)
    load_weights(other, path)
    for filled in (model.arm.prior, model.rem.prior, other):
        for name, tensor in prior.state_dict().items():
            assert torch.equal(filled.state_dict()[name], tensor)


def test_a_prior_alone_is_no_network():
    path = GOLDEN / "cisr_psi_nonlocal_prior.pth"
    with pytest.raises(WeightsError, match=r"prior\.pth: holds a non-local prior alone, not a whole CISRPSI ×2"):
        small(weights=str(path))


def test_files_that_do_not_fit_are_named_and_change_nothing():
    model = small(3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"CISRPSI ×3: of another shape: distill\.0\.weight"):
        load_weights(model, GOLDEN / "cisr_psi_x2_feats16_groups1_blocks2.pth")
    with pytest.raises(WeightsError, match=r"missing: .*groups\.1\.blocks\.0"):
        load_weights(small(arm_groups=2), GOLDEN / "cisr_psi_x2_feats16_groups1_blocks2.pth")
    with pytest.raises(WeightsError, match="does not fit NonLocalPrior"):
        load_weights(NonLocalPrior(), GOLDEN / "cisr_psi_x2_feats16_groups1_blocks2.pth")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_own_export_round_trip(tmp_path):
    model, other = small(), small()
    path = tmp_path / "model.safetensors"
    path.write_bytes(export_weights(model, {}))
    torch.nn.init.zeros_(other.rem.last.weight)
    load_weights(other, path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)


def test_can_start_as_an_interpolation():
    model = small()
    model.start_as_interpolation()
    z = torch.rand(1, 3, 9, 8) * 255
    with torch.no_grad():
        restored, sr = model.unfold(z / 255)[0]
        restored, sr = restored * 255, sr * 255
        prior = model.rem.prior(z, restored)
        combined = model.rem.combine(torch.cat([z, restored, prior], dim=1))
    torch.testing.assert_close(sr, bicubic_up(combined, 2), atol=1e-2, rtol=0)
    assert (restored - z).abs().mean() < z.std() / 4  # its mean leans on the image itself
