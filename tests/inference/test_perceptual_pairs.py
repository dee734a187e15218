"""Bundled weights for perceptual quality: `strength` mixes them with those for PSNR they were trained on from."""

import numpy as np
import pytest
import torch

from inference import load_restorer, shipped_weights
from models import build_generator
from models.weight_files import export_weights

SMALL = {"type": "residual_unet", "scale": 1, "widths": [8], "blocks": [1]}


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """Random weights under the two bundled names, and their folder."""
    monkeypatch.setattr(shipped_weights, "FOLDER", tmp_path)
    for seed, name in enumerate(("perceptual_jpeg", "residual_unet_jpeg", "mine")):
        torch.manual_seed(seed)
        network = build_generator(SMALL)
        for parameter in network.parameters():
            parameter.data.normal_(std=0.1)
        (tmp_path / f"{name}.safetensors").write_bytes(export_weights(network, {}))
    return tmp_path


def weights_of(name, **settings):
    network = load_restorer(name, device="cpu", **settings).generator
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


@pytest.mark.parametrize("strength", [0, 0.3, 1])
def test_strength_is_the_share_of_the_perceptual_weights(pair, strength):
    faithful, perceptual = weights_of("residual_unet_jpeg"), weights_of("perceptual_jpeg")
    mixed = weights_of("perceptual_jpeg", strength=strength)
    torch.testing.assert_close(mixed, faithful.lerp(perceptual, strength))


def test_a_relative_path_names_the_pair_too(pair, monkeypatch):
    monkeypatch.chdir(pair.parent)
    by_path = weights_of(f"{pair.name}/perceptual_jpeg.safetensors", strength=0.3)
    assert torch.equal(by_path, weights_of("perceptual_jpeg", strength=0.3))


def test_strength_0_is_the_network_for_psnr(pair, photos):
    image = np.ascontiguousarray(photos["coffee"][:48, :48])
    result = load_restorer("perceptual_jpeg", device="cpu", strength=0)(image)
    assert np.array_equal(result, load_restorer("residual_unet_jpeg", device="cpu")(image))
    assert not np.array_equal(result, image)


def test_weights_without_a_pair_are_mixed_with_the_photo(pair, photos):
    image = np.ascontiguousarray(photos["coffee"][:48, :48])
    for name in (pair / "mine.safetensors", "residual_unet_jpeg"):
        assert np.array_equal(load_restorer(name, device="cpu", strength=0)(image), image)


def test_each_pair_that_is_named_ships():
    names = {card.name for card in shipped_weights.cards()}
    for perceptual, faithful in shipped_weights.FAITHFUL.items():
        assert {perceptual, faithful} <= names
