"""`test.py restore` at scale 1: what a JPEG's file tells is used, in whatever orientation it is stored."""

import numpy as np
import pytest
import torch
from PIL import Image

from commands.restore import main, parse
from data.jpeg_files.cell import read_cell
from models import build_generator
from models.weight_files import export_weights
from utils.images import as_stored, read_image, upright


@pytest.fixture(scope="module")
def harmful(tmp_path_factory):
    """Weights of a network that makes good photos worse."""
    torch.manual_seed(1)
    network = build_generator({"type": "residual_unet", "widths": [8], "blocks": [1]})
    torch.nn.init.normal_(network.tail.weight, std=0.05)
    path = tmp_path_factory.mktemp("weights") / "harmful.safetensors"
    path.write_bytes(export_weights(network, {}))
    return path


def restored(folder, weights, *more):
    arguments = [folder / "in.jpg", "--output", folder / "out", "--weights", weights, "--overwrite", *more]
    assert main(parse([str(argument) for argument in arguments])) == 0
    return read_image(folder / "out" / "in.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_result_agrees_with_the_file(tmp_path, photos, harmful, orientation):
    photo = np.ascontiguousarray(photos["astronaut"][:48, :64])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "in.jpg"
    Image.fromarray(photo).save(path, quality=90, exif=exif)
    held, free = restored(tmp_path, harmful), restored(tmp_path, harmful, "--no-consistency")
    assert held.shape == upright(photo, orientation).shape
    cell = read_cell(path.read_bytes())

    def outside(image):
        stored = np.ascontiguousarray(as_stored(image, orientation)).astype(np.float32)
        return np.abs(cell.project(stored) - stored).mean()

    assert outside(held) < 0.5 < outside(free)  # rounding alone takes it out
    original = upright(photo, orientation).astype(float)
    assert np.mean((held - original) ** 2) < np.mean((free - original) ** 2)


def test_strength_0_gives_the_photo_back(tmp_path, photos, harmful):
    Image.fromarray(photos["coffee"][:40, :40]).save(tmp_path / "in.jpg", quality=30)
    untouched = restored(tmp_path, harmful, "--strength", "0")
    assert np.array_equal(untouched, read_image(tmp_path / "in.jpg"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_and_upright_undo_each_other(orientation):
    pixels = np.arange(24).reshape(4, 6)
    assert np.array_equal(as_stored(upright(pixels, orientation), orientation), pixels)
