"""CISRNet against outputs of the released network, its sizes and its options."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models import build_generator, count_parameters

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {"type": "cisrnet", "num_feat": 16, "coarse_groups": 1, "coarse_blocks": 2, "fine_groups": 1, "fine_blocks": 2}
SWAPPED = {"coarse_block_kind": "sequential", "fine_block_kind": "parallel", "coarse_blocks": 1, "fine_blocks": 1}


@pytest.mark.parametrize(
    ("file", "outputs", "scale", "sizes"),
    [
        ("cisrnet_x2_feats16", "cisrnet_x2_feats16", 2, {}),
        ("cisrnet_x3_feats16", "cisrnet_x3_feats16", 3, {}),
        ("cisrnet_x4_feats16", "cisrnet_x4_feats16", 4, {}),
        ("cisrnet_x2_feats16_model_prefix", "cisrnet_x2_feats16", 2, {}),
        *[
            (f"cisrnet_x2_feats16_{kinds}", f"cisrnet_x2_feats16_{kinds}", 2, SWAPPED)
            for kinds in ["sequential_coarse_parallel_fine"]
        ],
    ],
)
def test_equals_the_released_network(file, outputs, scale, sizes):
    network = build_generator({**SMALL, **sizes, "scale": scale, "weights": GOLDEN / f"{file}.pt"}).eval()
    golden = np.load(GOLDEN / f"{outputs}.npz")
    lr = torch.from_numpy(golden["input"]) / 255
    with torch.no_grad():
        coarse, fine = network.coarse_and_fine(lr)
        np.testing.assert_allclose(coarse.numpy() * 255, golden["coarse"], atol=1e-3)
        np.testing.assert_allclose(fine.numpy() * 255, golden["fine"], atol=1e-3)
        assert torch.equal(network(lr), fine) and torch.equal(network.coarse(lr), coarse)


@pytest.mark.parametrize(("scale", "parameters"), [(2, 9_600_198), (3, 10_015_398), (4, 9_932_358)])
def test_the_papers_sizes_are_the_defaults(scale, parameters):
    assert count_parameters(build_generator({"type": "cisrnet", "scale": scale})) == parameters


def test_without_refinement_the_coarse_image_is_the_output():
    network = build_generator({**SMALL, "scale": 2, "fine_groups": 0})
    lr = torch.rand(1, 3, 8, 9)
    assert network.fine is None and torch.equal(network(lr), network.coarse(lr))


def test_stage_one_trains_all_but_the_refinement():
    network = build_generator({**SMALL, "scale": 2})
    coarse = sum(count_parameters(module) for module in network.coarse_modules)
    assert coarse + count_parameters(network.fine) == count_parameters(network)


@pytest.mark.parametrize(
    "wrong", [{"scale": 5}, {"num_feat": 0}, {"reduction": 17}, {"fine_block_kind": "both"}, {"coarse_groups": 0}]
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValidationError):
        build_generator({**SMALL, "scale": 2, **wrong})


@pytest.mark.parametrize("kinds", [{}, SWAPPED])
def test_runs_on_cuda_under_autocast(fake_cuda, kinds):
    with fake_cuda():
        with torch.device("cuda"):
            network = build_generator({**SMALL, **kinds, "scale": 3})
            lr = torch.empty(2, 3, 12, 10)
        inner = []
        network.coarse_body_last.register_forward_hook(lambda _, __, features: inner.append(features.dtype))
        coarse, fine = network.coarse_and_fine(lr)
    assert fine.device.type == coarse.device.type == "cuda" and fine.shape == (2, 3, 36, 30)
    assert inner == [torch.bfloat16]  # autocast reached the convolutions
    assert coarse.dtype == fine.dtype == torch.float32


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_can_start_as_a_bilinear_upscaling(photos, scale):
    network = build_generator({**SMALL, "scale": scale})
    network.start_as_interpolation()
    lr = torch.from_numpy(photos["coffee"].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        coarse, fine = network.coarse_and_fine(lr)
    bilinear = lr
    for factor in (2, 2) if scale == 4 else (scale,):
        bilinear = torch.nn.functional.interpolate(bilinear, scale_factor=factor, mode="bilinear")
    inner = (..., slice(8, -8), slice(8, -8))  # zero padding shows at the borders
    torch.testing.assert_close(coarse[inner], bilinear[inner], atol=1e-5, rtol=0)
    assert torch.equal(fine, coarse)
