"""evaluation.inference: consistency with the file, strength, grey images, quantisation steps."""

import numpy as np
import pytest
import torch

from data.codecs import decode, encode
from data.compressed_file import CompressedFile
from evaluation.inference import Restorer, restore
from models import build_generator
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
