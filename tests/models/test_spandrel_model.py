"""Networks of others through spandrel, against our own where both know one, and what is refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact

from benchmarks.soak import experiment
from evaluation.evaluate import evaluate
from evaluation.options import EvaluationOptions
from inference.restorer import Restorer
from inference.whole_image import restore
from models import SpandrelModel, WeightsError, build_generator, options_in_file
from training.options import TrainOptions
from utils.images import write_png
from utils.options import OptionsError, load, validate


def generator(weights, scale):
    return build_generator({"type": "spandrel", "weights": Path(weights), "scale": scale}).eval()


@pytest.fixture
def compact(tmp_path):
    """A small Real-ESRGAN Compact ×2 as its authors publish them."""
    torch.manual_seed(0)
    network = Compact(num_feat=8, num_conv=2, upscale=2)
    torch.save({"params": network.state_dict()}, tmp_path / "compact.pth")
    return tmp_path / "compact.pth", network.eval()


def picture(height, width, count=1):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def esrgan(folder, scale):
    """Our RRDBNet as a file; spandrel takes 32 growth channels, the published number, for granted."""
    torch.manual_seed(scale)
    sizes = {"num_feat": 16, "num_block": 2, "num_grow_ch": 32, "pixel_unshuffle": scale < 4}
    network = build_generator({"type": "rrdbnet", "scale": scale, **sizes}).eval()
    torch.save({"params_ema": network.state_dict()}, folder / "esrgan.pth")
    return folder / "esrgan.pth", network


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_esrgan_files_give_what_our_network_gives(scale, tmp_path):
    path, ours = esrgan(tmp_path, scale)
    lr = picture(24, 28, 2)
    with torch.inference_mode():
        ours.conv_last.bias += 0.5 - ours(lr).mean()  # random weights end near 0, where clamping would hide differences
        torch.save({"params_ema": ours.state_dict()}, path)
        theirs, expected = generator(path, scale), ours(lr)
        assert expected.min() > 0 and expected.max() < 1 and expected.std() > 1e-3
        assert (theirs(lr) - expected).abs().max() < 1e-5
    assert expected.shape == (2, 3, 24 * scale, 28 * scale)


def test_images_are_padded_by_reflection_and_cropped(tmp_path):
    """The ×2 network folds pixels; spandrel wants sides that are multiples of 4."""
    theirs = generator(esrgan(tmp_path, 2)[0], 2)
    lr = picture(21, 18)
    with torch.inference_mode():
        expected = theirs(F.pad(lr, (0, 2, 0, 3), "reflect"))[..., :42, :36]
        assert torch.equal(theirs(lr), expected)
        assert theirs(picture(1, 1)).shape == (1, 3, 2, 2)


def test_a_row_of_a_table_and_a_photo_restored(compact, photos, tmp_path):
    path, network = compact
    write_png(tmp_path / "hr" / "a.png", photos["coffee"][:64, :72])
    row = {"name": "Compact", "generator": {"type": "spandrel", "scale": 2, "weights": str(path)}}
    sets = [{"name": "photos", "hr": str(tmp_path / "hr"), "compressions": ["jpeg40"]}]
    values = {"name": "run", "results": str(tmp_path), "scale": 2, "device": "cpu", "models": [row], "datasets": sets}
    evaluation = evaluate(validate(values, EvaluationOptions, "test"))
    (by_model,) = evaluation.records.values()
    assert evaluation.scores(by_model["Compact"])["psnr_y"] > 0
    assert evaluation.costs["Compact"].parameters == sum(p.numel() for p in network.parameters())
    assert evaluation.costs["Compact"].flops is None
    # `restore --weights FILE` asks the file alone.
    found = build_generator(options_in_file(path)).eval()
    assert isinstance(found, SpandrelModel) and found.scale == 2
    lr = np.ascontiguousarray(photos["astronaut"])
    with torch.inference_mode():
        expected = network(torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255)[0].clamp(0, 1)
    whole = (expected * 255 + 0.5).floor().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(restore(found, lr), whole)
    assert not found.looks_at_whole
    apart = Restorer(found, tile=96)(lr).astype(int) - whole
    assert np.abs(apart).max() <= 1


def test_safetensors_are_read(compact, tmp_path):
    path, network = compact
    save_file(network.state_dict(), tmp_path / "compact.safetensors")
    lr = picture(9, 9)
    with torch.inference_mode():
        assert torch.equal(generator(tmp_path / "compact.safetensors", 2)(lr), generator(path, 2)(lr))


def test_what_cannot_be_used_is_refused_on_one_line(compact, tmp_path, monkeypatch):
    path, network = compact
    with pytest.raises(WeightsError, match=r"compact\.pth: a ×2 RealESRGAN Compact, scale is 4"):
        generator(path, 4)
    torch.save(
        Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=1).state_dict(), tmp_path / "grey.pth"
    )
    with pytest.raises(WeightsError, match=r"grey\.pth: this RealESRGAN Compact is for one channel; .*`luma: full`"):
        generator(tmp_path / "grey.pth", 1)
    with pytest.raises(WeightsError, match=r"does not say which network .*`luma: full`"):
        options_in_file(tmp_path / "grey.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: not a network that spandrel knows"):
        generator(tmp_path / "other.pth", 2)
    state = network.state_dict()
    torch.save({**state, "body.0.bias": torch.zeros(3)}, tmp_path / "damaged.pth")
    with pytest.raises(WeightsError, match=r"damaged\.pth: spandrel cannot load it \(RuntimeError: ") as error:
        generator(tmp_path / "damaged.pth", 2)
    assert "\n" not in str(error.value)
    torch.save({"params": state, "run": print}, tmp_path / "code.pth")
    with pytest.raises(WeightsError, match=r"code\.pth: not a file of plain tensors, refused"):
        generator(tmp_path / "code.pth", 2)
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(WeightsError, match=r"compact\.pth: needs spandrel.*pip install -r requirements-spandrel\.txt"):
        generator(path, 2)
    with pytest.raises(WeightsError, match=r"does not say which network .*needs spandrel"):
        options_in_file(path)


@pytest.mark.parametrize("network", ["{type: spandrel, scale: 2, weights: a.pth}", "{type: bicubic, scale: 2}"])
def test_networks_without_weights_of_ours_are_not_trained(network, tmp_path):
    options = experiment("supervised", tmp_path, tmp_path, 2)
    with pytest.raises(OptionsError, match="is not trained here"):
        load(options, TrainOptions, [f"generator={network}"])


@pytest.mark.parametrize("luma", ["full", "limited"])
def test_a_network_of_one_channel_restores_y_and_leaves_cb_and_cr(tmp_path, luma):
    torch.manual_seed(0)
    network = Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=2, upscale=1).eval()
    torch.save(network.state_dict(), tmp_path / "grey.pth")
    ours = build_generator({"type": "spandrel", "weights": tmp_path / "grey.pth", "scale": 1, "luma": luma}).eval()
    image = 0.3 + 0.4 * picture(20, 24, 2)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    with torch.inference_mode():
        y = (image * weights).sum(1, keepdim=True)
        seen = y if luma == "full" else y * 219 / 255 + 16 / 255
        expected = network(seen).clamp(0, 1) if luma == "full" else (network(seen).clamp(0, 1) - 16 / 255) * 255 / 219
        restored = ours(image)
    torch.testing.assert_close((restored * weights).sum(1, keepdim=True), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(restored - restored[:, :1], image - image[:, :1], atol=1e-5, rtol=0)
    with pytest.raises(WeightsError, match="one channel"):
        torch.save(Compact(num_feat=8, num_conv=2, upscale=1).state_dict(), tmp_path / "rgb.pth")
        build_generator({"type": "spandrel", "weights": tmp_path / "rgb.pth", "scale": 1, "luma": luma})


def test_weights_that_are_not_finite_are_refused(compact):
    path, network = compact
    state = network.state_dict()
    state["body.0.bias"] = torch.full_like(state["body.0.bias"], float("nan"))
    torch.save({"params": state}, path)
    with pytest.raises(WeightsError, match="holds numbers that are not finite"):
        generator(path, 2)
