"""VDSR, RDN and RCAN: their published sizes, shapes and ranges, weights that come back, a start as an interpolation."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from models import build_generator, count_parameters, options_in_file
from models.layers import ToImage
from models.weight_files import export_weights

SMALL = {
    "vdsr": {"type": "vdsr", "num_feat": 8, "layers": 4},
    "rdn": {"type": "rdn", "num_feat": 8, "num_grow_ch": 4, "blocks": 2, "layers": 2},
    "rcan": {"type": "rcan", "num_feat": 8, "reduction": 4, "groups": 2, "blocks": 2},
}
PARAMETERS = {
    "vdsr": (668_227, 668_227, 668_227),
    "rdn": (22_123_395, 22_308_035, 22_271_107),
    "rcan": (15_444_643, 15_629_283, 15_592_355),
}
CASES = [(type_, scale) for type_ in SMALL for scale in (2, 3, 4)]


def small(type_, scale, **sizes):
    torch.manual_seed(0)
    return build_generator({**SMALL[type_], "scale": scale, **sizes})


def as_batch(photo):
    return torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize(("type_", "scale"), CASES)
def test_the_papers_sizes_are_the_defaults(type_, scale):
    with torch.device("meta"):
        network = build_generator({"type": type_, "scale": scale})
    assert count_parameters(network) == PARAMETERS[type_][scale - 2]


@pytest.mark.parametrize(("type_", "scale"), CASES)
def test_any_size_of_image_on_the_range_of_every_generator(type_, scale):
    network = small(type_, scale)
    for size in [(9, 14), (1, 1)]:
        with torch.inference_mode():
            sr = network(torch.rand(2, 3, *size))
        assert sr.shape == (2, 3, size[0] * scale, size[1] * scale) and sr.isfinite().all()
    # Without weights at all only the mean colour is left, and VDSR's interpolated image, both in [0, 1].
    with torch.inference_mode():
        for parameter in network.parameters():
            parameter.zero_()
        sr = network(torch.full((1, 3, 4, 4), 0.75))
    expected = {"vdsr": [0.75] * 3, "rdn": [0.0] * 3, "rcan": [0.4488, 0.4371, 0.4040]}[type_]
    torch.testing.assert_close(sr, torch.tensor(expected).view(1, 3, 1, 1).expand_as(sr))


@pytest.mark.parametrize("type_", ["vdsr", "rcan"])
def test_an_image_of_the_mean_colour_is_black_to_the_first_layer(type_):
    network, seen = small(type_, 2), []
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    with torch.inference_mode():
        network(mean.expand(1, 3, 8, 8))
        network((mean + 10 / 255).expand(1, 3, 8, 8))
    torch.testing.assert_close(seen[0], torch.zeros_like(seen[0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[1], torch.full_like(seen[1], 10), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("type_", "scale"), CASES)
def test_exported_weights_come_back_and_say_what_they_are(tmp_path, type_, scale):
    network, path = small(type_, scale), tmp_path / "weights.safetensors"
    path.write_bytes(export_weights(network, {"iteration": 7}))
    again, lr = build_generator(options_in_file(path)), torch.rand(1, 3, 6, 7)
    assert again.options.model_dump(exclude={"weights"}) == network.options.model_dump(exclude={"weights"})
    with torch.inference_mode():
        assert torch.equal(again(lr), network(lr))
    assert len(again.state_dict()) == len(list(again.parameters()))  # the mean colour is no weight


@pytest.mark.parametrize(("type_", "scale"), CASES)
def test_forward_stays_on_its_device_and_never_waits_for_it(fake_cuda, type_, scale):
    with fake_cuda():
        with torch.device("cuda"):
            network = small(type_, scale)
            lr = torch.empty(2, 3, 12, 10)
        seen = []
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(lambda conv, _, output: seen.append((type(conv), output.dtype)))
        sr = network(lr)
    assert sr.device.type == "cuda" and sr.shape == (2, 3, 12 * scale, 10 * scale)
    assert {kind is ToImage: dtype for kind, dtype in seen} == {
        False: torch.bfloat16,  # autocast reached the convolutions
        **({True: torch.float32} if any(kind is ToImage for kind, _ in seen) else {}),
    }
    assert sr.dtype == torch.float32


@pytest.mark.parametrize(("type_", "scale"), CASES)
def test_can_start_as_an_interpolation(photos, type_, scale):
    network, lr = small(type_, scale), as_batch(photos["coffee"][:60, :70])
    network.start_as_interpolation()
    with torch.inference_mode():
        sr = network(lr)
    expected = lr
    if type_ == "vdsr":
        expected = F.interpolate(lr, scale_factor=scale, mode="bicubic", antialias=True)
    else:
        for factor in (2, 2) if scale == 4 else (scale,):
            expected = F.interpolate(expected, scale_factor=factor, mode="bilinear")
    inner = (..., slice(8, -8), slice(8, -8))  # zero padding shows at the borders
    torch.testing.assert_close(sr[inner], expected[inner], atol=1e-5, rtol=0)


def test_vdsr_interpolates_as_the_bicubic_baseline_does(photos):
    network, bicubic = small("vdsr", 3), build_generator({"type": "bicubic", "scale": 3})
    network.start_as_interpolation()
    lr = as_batch(photos["chelsea"])
    with torch.inference_mode():
        difference = (network(lr).clamp(0, 1) - bicubic(lr)).abs() * 255
    assert difference[..., 12:-12, 12:-12].max() <= 1.5  # MATLAB's is rounded after each axis


def test_vdsr_starts_with_a_signal_that_reaches_its_end():
    torch.manual_seed(0)
    network, lr = build_generator({"type": "vdsr", "scale": 2, "num_feat": 16}), torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        added = network.body(255 * (lr - 0.43)).std() / 255
    assert 0.02 < added < 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "vdsr", "scale": 2, "layers": 1},
        {"type": "vdsr", "scale": 9},
        {"type": "rdn", "scale": 8},
        {"type": "rdn", "scale": 2, "num_feat": 2},
        {"type": "rcan", "scale": 5},
        {"type": "rcan", "scale": 2, "num_feat": 8},
    ],
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValidationError):
        build_generator(wrong)
