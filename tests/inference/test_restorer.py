"""inference.restorer: consistency with the file, strength, grey images, quantisation steps."""

import numpy as np
import pytest
import torch

from data.codecs import decode, encode
from data.jpeg_files import CompressedFile
from inference.restorer import Restorer
from inference.whole_image import restore
from models import build_generator
from models.calibration import Calibration
from models.global_average import GlobalAverage, held_averages
from utils.errors import UserError


@pytest.fixture(scope="module")
def photo(photos):
    return np.ascontiguousarray(photos["astronaut"][:101, 20:141])


@pytest.fixture(scope="module")
def harmful():
    """A network that reads the steps and blurs what it is given: it makes good photos worse."""
    network = build_generator({"type": "residual_unet", "widths": [12], "blocks": [1]}).eval()
    torch.manual_seed(1)
    torch.nn.init.normal_(network.tail.weight, std=0.03)
    return network


def error(image, original):
    return float(np.mean((image.astype(float) - original) ** 2))


@pytest.mark.parametrize("spec", ["jpeg90", "jpeg75:444", "jpeg10"])
def test_consistency_takes_a_result_nearer_to_the_original(photo, harmful, spec):
    data = encode(photo, spec)
    lr, file = decode(data, spec), CompressedFile(data)
    free = restore(harmful, lr, file=file)
    held = restore(harmful, lr, file=file, consistency=True)
    assert error(held, photo) < error(free, photo)
    restorer = Restorer(harmful)
    assert np.array_equal(restorer(lr, file=file), held)  # the default
    assert np.array_equal(Restorer(harmful, consistency=False)(lr, file=file), free)
    tiled = Restorer(harmful, tile=96, overlap=32)
    assert np.abs(tiled(lr, file=file).astype(int) - held).max() <= 1 and tiled.tiles > 1


def test_a_calibration_is_used_with_consistency_alone(photo, harmful, monkeypatch):
    data = encode(photo, "jpeg75")
    lr, file = decode(data, "jpeg75"), CompressedFile(data)
    plain, held = restore(harmful, lr, file=file), restore(harmful, lr, file=file, consistency=True)
    factors = np.full((2, 2, 2, 8, 8), 0.25, np.float32)
    monkeypatch.setattr(harmful, "calibration", Calibration((1.0, 50.0), factors, 1.0))
    calibrated = restore(harmful, lr, file=file, consistency=True)
    assert error(calibrated, photo) < error(held, photo)
    assert np.array_equal(restore(harmful, lr, file=file), plain)
    assert np.array_equal(Restorer(harmful)(lr, file=file), calibrated)
    tiled = Restorer(harmful, tile=96, overlap=32)
    assert np.abs(tiled(lr, file=file).astype(int) - calibrated).max() <= 1 and tiled.tiles > 1
    assert np.array_equal(Restorer(harmful, consistency=False)(lr, file=file), plain)


def test_files_without_a_cell_are_restored_as_ever(photo, harmful):
    lr = decode(data := encode(photo, "webp50"), "webp50")
    assert np.array_equal(restore(harmful, lr, file=CompressedFile(data), consistency=True), restore(harmful, lr))


def test_the_network_is_told_the_steps(photo, harmful):
    file = CompressedFile(encode(photo, "jpeg10"))
    assert not np.array_equal(restore(harmful, photo, file=file), restore(harmful, photo))


@pytest.mark.parametrize("scale", [1, 2])
def test_strength_goes_from_the_input_to_the_result(photo, harmful, scale):
    network = harmful
    if scale == 2:
        network = build_generator({"type": "vdsr", "scale": 2, "num_feat": 4, "layers": 3}).eval()
    none, half, full = (Restorer(network, strength=strength)(photo).astype(int) for strength in (0, 0.5, 1))
    unclipped = (full > 0) & (full < 255) & (none > 0) & (none < 255)
    assert np.abs(2 * half - none - full)[unclipped].max() <= 2 and (none != full).any()
    if scale == 1:
        assert np.array_equal(none, photo)
    with pytest.raises(UserError, match="strength"):
        Restorer(network, strength=1.1)


def test_grey_stays_grey(photo, harmful):
    grey = np.repeat(photo[..., 1:2], 3, axis=2)
    for image in (grey, grey.astype(np.uint16) * 257):
        restored = Restorer(harmful)(image)
        assert (restored == restored[..., :1]).all() and (restored != image).any()
    assert (Restorer(harmful)(photo)[..., 0] != Restorer(harmful)(photo)[..., 1]).any()


@pytest.mark.parametrize("type_", ["cisrnet", "rcan"])
def test_tiles_are_weighed_by_averages_of_the_whole_image(photos, type_):
    sizes = {"cisrnet": {"coarse_groups": 1, "coarse_blocks": 2, "fine_groups": 0}, "rcan": {"groups": 1, "blocks": 2}}
    torch.manual_seed(0)
    network = build_generator({"type": type_, "scale": 2, "num_feat": 8, "reduction": 2, **sizes[type_]}).eval()
    image = photos["coffee"].copy()
    half = image.shape[1] // 2
    image[:, :half] //= 4  # a dark half: a tile of it has averages far from the image's
    whole = Restorer(network, tile=512)(image).astype(int)
    tiled = Restorer(network, tile=96, overlap=32)
    held = tiled(image).astype(int)
    assert tiled.tiles > 1 and tiled.note is None
    own = np.concatenate([Restorer(network)(image[:, :half]), Restorer(network)(image[:, half:])], axis=1).astype(int)
    assert np.abs(held - whole).mean() < 0.5 * np.abs(own - whole).mean()
    assert np.array_equal(Restorer(network, tile=512)(image), whole)  # nothing is held any longer
    assert not any(module.held for module in network.modules() if isinstance(module, GlobalAverage))


def test_averages_are_held_in_the_order_of_the_calls():
    average = GlobalAverage()
    network = torch.nn.Sequential(average)
    images = [torch.rand(2, 3, 4, 4) for _ in range(4)]

    def run(pair):
        return [average(image) for image in pair]

    with held_averages(network, run, [images[:2], images[2:]]):
        first, second = (average(torch.zeros(1, 3, 2, 2)) for _ in range(2))
    for held, seen in ((first, images[::2]), (second, images[1::2])):
        torch.testing.assert_close(held, torch.cat(seen).mean((0, 2, 3), keepdim=True))
    assert torch.equal(average(images[0]), torch.nn.functional.adaptive_avg_pool2d(images[0], 1))
