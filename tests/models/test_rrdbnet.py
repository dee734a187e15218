"""RRDBNet: the published files and outputs, sizes read off files, refusals, checkpointing."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError

from models import RRDBNet, WeightsError, build_generator, count_parameters, load_weights
from models.weight_files import export_weights

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {"type": "rrdbnet", "num_feat": 8, "num_block": 2, "num_grow_ch": 4}
QE = GOLDEN / "rrdbnet_qe_gan_feats16_blocks2_grow8_ddp.pt"
X4 = GOLDEN / "rrdbnet_sr_x4_feats16_blocks2_grow8.pth"


def tensors(path: Path) -> dict[str, torch.Tensor]:
    content = torch.load(path, weights_only=True)
    for key in ("state_dict_g", "params_ema"):
        content = content.get(key, content)
    return content


def small(**options) -> RRDBNet:
    torch.manual_seed(0)
    return build_generator({**SMALL, **options})


@pytest.mark.parametrize(
    ("weights", "values", "scale", "unshuffle"),
    [
        (QE.name, QE.stem, 1, False),
        ("rrdbnet_sr_x1_feats16_blocks2_grow8.pth", "rrdbnet_sr_x1_feats16_blocks2_grow8", 1, True),
        ("rrdbnet_sr_x2_feats16_blocks2_grow8.pth", "rrdbnet_sr_x2_feats16_blocks2_grow8", 2, True),
        (X4.name, X4.stem, 4, False),
        ("rrdbnet_sr_x4_feats16_blocks2_grow8_trunk_keys.pth", X4.stem, 4, False),
    ],
)
def test_published_files_load_by_themselves_and_give_the_published_outputs(weights, values, scale, unshuffle):
    generator = build_generator({"type": "rrdbnet", "weights": GOLDEN / weights})
    golden = np.load(GOLDEN / f"{values}.npz")
    with torch.inference_mode():
        sr = generator(torch.from_numpy(golden["input"])).numpy()
    np.testing.assert_allclose(sr, golden["output"], rtol=0, atol=1e-5)
    options = generator.options
    assert (generator.scale, options.scale, options.pixel_unshuffle) == (scale, scale, unshuffle)
    assert (options.num_feat, options.num_block, options.num_grow_ch) == (16, 2, 8)


@pytest.mark.parametrize("container", ["state_dict", "state_dict_g", "params", "params_ema", None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_containers_and_prefixes_do_not_matter(tmp_path, container, prefix):
    state = {prefix + name.removeprefix("module."): tensor for name, tensor in tensors(QE).items()}
    torch.save({container: state, "num_iter_accum": 1} if container else state, tmp_path / "file.pth")
    generator = build_generator({"type": "rrdbnet", "weights": tmp_path / "file.pth"})
    torch.testing.assert_close(generator.conv_body.weight.data, tensors(QE)["module.conv_mid.weight"])


def test_the_average_is_preferred_to_the_raw_weights(tmp_path):
    average = tensors(X4)
    raw = {name: torch.zeros_like(tensor) for name, tensor in average.items()}
    torch.save({"params": raw, "params_ema": average}, tmp_path / "both.pth")
    generator = build_generator({"type": "rrdbnet", "weights": tmp_path / "both.pth"})
    torch.testing.assert_close(generator.conv_last.weight.data, average["conv_last.weight"])


def test_the_published_sizes_are_the_defaults():
    assert count_parameters(build_generator({"type": "rrdbnet", "scale": 1})) == 1_451_011
    with torch.device("meta"):
        assert count_parameters(build_generator({"type": "rrdbnet", "scale": 4})) == 16_697_987
        for scale in (1, 2):
            options = build_generator({"type": "rrdbnet", "scale": scale, "pixel_unshuffle": True}).options
            assert (options.num_feat, options.num_block, options.num_grow_ch) == (64, 23, 32)
        assert build_generator({"type": "rrdbnet", "scale": 2}).options.pixel_unshuffle


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "give scale"),
        ({"scale": 3}, "scale"),
        ({"scale": 4, "pixel_unshuffle": True}, "pixel_unshuffle is for scale 1 and 2"),
        ({"scale": 2, "num_block": 0}, "num_block"),
        ({"scale": 2, "num_blocks": 3}, "num_blocks"),
    ],
)
def test_options_that_describe_no_network_are_refused(options, said):
    with pytest.raises(ValidationError, match=said):
        build_generator({"type": "rrdbnet", **options})


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, False), (1, True), (2, False), (2, True), (4, False)])
@pytest.mark.parametrize("size", [(9, 14), (3, 3), (2, 5), (1, 1)])
def test_any_size_of_image(scale, unshuffle, size):
    generator = small(scale=scale, pixel_unshuffle=unshuffle)
    with torch.inference_mode():
        sr = generator(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, size[0] * scale, size[1] * scale)
    assert sr.isfinite().all()


@pytest.mark.parametrize(("scale", "factor"), [(1, 4), (2, 2)])
def test_sides_that_are_no_multiple_are_reflected(scale, factor):
    generator, lr = small(scale=scale, pixel_unshuffle=True), torch.rand(1, 3, 13, 15)
    padded = F.pad(lr, (0, -15 % factor, 0, -13 % factor), mode="reflect")
    with torch.inference_mode():
        expected = generator(padded)[..., : 13 * scale, : 15 * scale]
        torch.testing.assert_close(generator(lr), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, False), (1, True), (2, False), (2, True), (4, False)])
def test_our_own_files_tell_their_sizes_too(tmp_path, scale, unshuffle):
    generator = small(scale=scale, pixel_unshuffle=unshuffle)
    (tmp_path / "best.safetensors").write_bytes(export_weights(generator, {}))
    again = build_generator({"type": "rrdbnet", "weights": tmp_path / "best.safetensors"})
    assert again.options.model_dump(exclude={"weights"}) == generator.options.model_dump(exclude={"weights"})
    assert all(torch.equal(a, b) for a, b in zip(generator.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("sizes", [{}, {"scale": 1, "num_feat": 16, "num_block": 2, "num_grow_ch": 8}])
@pytest.mark.parametrize("name", ["conv_in.weight", "conv_mid.bias", "rrdb_lst.0.rdb1.conv1.weight"])
def test_a_missing_tensor_is_named_as_in_the_file(tmp_path, name, sizes):
    state = tensors(QE)
    del state[f"module.{name}"]
    torch.save({"state_dict_g": state}, tmp_path / "lacks.pt")
    with pytest.raises(WeightsError, match=rf"lacks\.pt: .*missing: {name}$"):
        build_generator({"type": "rrdbnet", "weights": tmp_path / "lacks.pt", **sizes})


@pytest.mark.parametrize("name", ["conv_up1.bias", "conv_up2.weight", "conv_first.weight"])
def test_a_missing_tensor_does_not_make_another_network(tmp_path, name):
    state = tensors(X4)
    del state[name]
    torch.save({"params_ema": state}, tmp_path / "lacks.pth")
    with pytest.raises(WeightsError, match=f"×4: missing: {name}$"):
        build_generator({"type": "rrdbnet", "weights": tmp_path / "lacks.pth"})


def test_extra_and_misshapen_tensors_are_named_and_nothing_is_loaded(tmp_path):
    state = tensors(X4)
    torch.save(state | {"conv_more.weight": torch.zeros(3)}, tmp_path / "extra.pth")
    torch.save(state | {"conv_hr.bias": torch.zeros(7)}, tmp_path / "shape.pth")
    torch.save(state | {"body.0.rdb1.conv1.weight": torch.zeros(7, 5, 3, 3)}, tmp_path / "block.pth")
    generator = small(scale=4, num_feat=16, num_grow_ch=8)
    before = generator.conv_first.weight.clone()
    with pytest.raises(WeightsError, match=r"unexpected: conv_more\.weight$"):
        load_weights(generator, tmp_path / "extra.pth")
    with pytest.raises(WeightsError, match=r"of another shape: conv_hr\.bias \(file 7, network 16\)$"):
        load_weights(generator, tmp_path / "shape.pth")
    assert torch.equal(generator.conv_first.weight, before)
    with pytest.raises(WeightsError, match=r"of another shape: body\.0\.rdb1\.conv1\.weight \(file 7×5×3×3, [^;]*$"):
        build_generator({"type": "rrdbnet", "weights": tmp_path / "block.pth"})


@pytest.mark.parametrize("turned", [False, True])
def test_two_names_for_one_tensor_are_refused(tmp_path, turned):
    state = tensors(QE) | {"module.conv_first.bias": torch.zeros(16)}
    torch.save(dict(reversed(state.items())) if turned else state, tmp_path / "twice.pt")
    with pytest.raises(WeightsError, match=r"unexpected: conv_(in|first)\.bias$"):
        build_generator({"type": "rrdbnet", "weights": tmp_path / "twice.pt"})


def test_a_file_of_another_scale_is_refused_with_names():
    x2 = GOLDEN / "rrdbnet_sr_x2_feats16_blocks2_grow8.pth"
    with pytest.raises(WeightsError, match=r"×4: of another shape: conv_first\.weight \(file 16×12×3×3, "):
        build_generator({"type": "rrdbnet", "scale": 4, "weights": x2})
    with pytest.raises(WeightsError, match=r"×1: unexpected: conv_up1\.weight, "):
        build_generator({"type": "rrdbnet", "scale": 1, "weights": X4})


def test_a_file_of_another_network_is_refused_with_names(tmp_path):
    torch.save({"shallow_feature_extraction.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with torch.device("meta"), pytest.raises(WeightsError) as refusal:
        build_generator({"type": "rrdbnet", "weights": tmp_path / "other.pth"})
    assert "missing: conv_first.weight, " in str(refusal.value)
    assert "unexpected: shallow_feature_extraction.weight" in str(refusal.value)


class Harmful:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    torch.save({"params": tensors(X4), "more": Harmful(tmp_path / "ran")}, tmp_path / "harmful.pth")
    with pytest.raises(WeightsError, match=r"harmful\.pth: .*refused \(it asks for \w+\.mkdir\)$"):
        build_generator({"type": "rrdbnet", "weights": tmp_path / "harmful.pth"})
    assert not (tmp_path / "ran").exists()


def test_checkpointing_changes_memory_and_nothing_else():
    plain, frugal = small(scale=1), small(scale=1, checkpointing=True)
    lr, kept = torch.rand(1, 3, 12, 12), {}
    for name, generator in (("plain", plain), ("frugal", frugal)):
        count = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal count
            count += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = generator(lr).square().mean()
        loss.backward()
        kept[name] = count
    assert kept["frugal"] < kept["plain"] / 2
    for ours, theirs in zip(plain.parameters(), frugal.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=0)


def test_checkpointing_computes_blocks_twice_only_where_gradients_are_asked_for():
    generator, calls = small(scale=1, checkpointing=True), []
    generator.body[0].rdb2.conv1.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        generator(torch.rand(1, 3, 8, 8))
    assert len(calls) == 1
    generator(torch.rand(1, 3, 8, 8)).mean().backward()
    assert len(calls) == 3


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, False), (1, True), (4, False)])
def test_forward_stays_on_its_device_and_never_waits_for_it(fake_cuda, scale, unshuffle):
    with fake_cuda():
        with torch.device("cuda"):
            generator = small(scale=scale, pixel_unshuffle=unshuffle, checkpointing=True)
            lr = torch.rand(2, 3, 9, 10)
        inner = []
        generator.conv_body.register_forward_hook(lambda _, __, features: inner.append(features.dtype))
        sr = generator(lr)
    assert sr.device.type == "cuda" and sr.shape == (2, 3, 9 * scale, 10 * scale)
    assert inner == [torch.bfloat16] and sr.dtype == torch.float32


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_can_start_as_the_nearest_pixel(photos, scale):
    network = build_generator(
        {"type": "rrdbnet", "scale": scale, "num_feat": 8, "num_block": 1, "num_grow_ch": 4, "pixel_unshuffle": False}
    )
    network.start_as_interpolation()
    lr = torch.from_numpy(photos["coffee"][:20, :24].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        sr = network(lr)
    nearest = torch.nn.functional.interpolate(lr, scale_factor=scale, mode="nearest")
    torch.testing.assert_close(sr, nearest, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="no start as an interpolation"):
        build_generator({"type": "rrdbnet", "scale": 1, "pixel_unshuffle": True}).start_as_interpolation()
