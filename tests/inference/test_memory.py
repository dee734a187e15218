"""inference.restorer: tiles and memory, precision, self-ensemble."""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.forward import ensemble_of_eight
from inference.restorer import Restorer
from inference.whole_image import restore
from models import build_generator
from utils.errors import UserError

ROOT = Path(__file__).parents[2]
QE = ROOT / "tests/golden/rrdbnet_qe_gan_feats16_blocks2_grow8_ddp.pt"
SMALL = {"type": "rrdbnet", "num_feat": 4, "num_block": 1, "num_grow_ch": 2}


@pytest.fixture(scope="module")
def qe():
    return build_generator({"type": "rrdbnet", "weights": QE}).eval()


def test_tiles_and_the_whole_agree_to_one_level(tmp_path, photos, qe):
    photo = photos["astronaut"][:100, :121]
    whole = restore(qe, photo)
    calls = []
    tiled = Restorer(qe, tile=96)(photo, lambda done, count: calls.append((done, count)))
    assert calls == [(n, 4) for n in range(1, 5)]
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    sixteen = Restorer(qe, tile=96)(photo.astype(np.uint16) * 257)
    assert sixteen.dtype == np.uint16 and np.abs(sixteen / 257 - tiled).max() <= 0.51


def test_memory_decides_between_the_whole_and_tiles(qe, monkeypatch):
    restorer = Restorer(qe)
    assert restorer.plan(300, 200).count == 1 and restorer.plan(1, 1).count == 1
    monkeypatch.setattr("inference.restorer.available_bytes", lambda: 40 << 20)
    little = restorer.plan(3000, 2000)
    assert little.count > 100 and little.rows.length < 200
    monkeypatch.setattr("inference.restorer.available_bytes", lambda: 0)
    assert restorer.plan(3000, 2000).rows.length <= restorer.least_tile
    # On the CPU, where memory is plenty, only networks that need the whole image get more than 1 GiB for it.
    monkeypatch.setattr("inference.restorer.available_bytes", lambda: 1 << 50)
    assert not restorer.looks_at_whole and restorer.plan(3000, 2000).count > 1
    attention = {"type": "cisrnet", "scale": 2, "num_feat": 8, "coarse_groups": 1, "coarse_blocks": 1, "fine_groups": 0}
    whole = Restorer(build_generator(attention).eval())
    assert whole.looks_at_whole and whole.plan(3000, 2000).count == 1


def test_tiles_are_halved_when_memory_runs_out(qe, photos, capsys, monkeypatch):
    photo, most = photos["astronaut"][:60], 60 * 100
    forward = qe.forward

    def scarce(lr):
        if lr.shape[2] * lr.shape[3] > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(lr)

    monkeypatch.setattr(qe, "forward", scarce)
    restorer = Restorer(qe)
    restored = restorer(photo)
    assert "out of memory with tiles of 160; going on with 96" in capsys.readouterr().err
    np.testing.assert_array_equal(restored, Restorer(qe, tile=96)(photo))
    most = 10
    with pytest.raises(UserError, match="too little memory"):
        restorer(photo)


def test_self_ensemble_is_the_mean_of_eight(photos, qe):
    lr = torch.rand(1, 3, 20, 33)
    np.testing.assert_allclose(ensemble_of_eight(lambda x: x, lr), lr, atol=1e-6)
    turned = ensemble_of_eight(lambda x: x[..., :1].expand_as(x), lr)  # what a network does depends on the turn
    assert (turned - lr[..., :1].expand_as(lr)).abs().max() > 0.1
    with torch.inference_mode():
        once = ensemble_of_eight(qe, lr)
        for other in (lr.flip(2), lr.transpose(2, 3)):
            again = ensemble_of_eight(qe, other)
            back = again.flip(2) if other.shape == lr.shape else again.transpose(2, 3)
            torch.testing.assert_close(back, once, rtol=0, atol=1e-5)
    photo = photos["coffee"][:20, :33]
    assert not np.array_equal(Restorer(qe, self_ensemble=True)(photo), restore(qe, photo))


def test_bfloat16_is_near_and_infinite_numbers_are_refused(qe, photos):
    photo = photos["coffee"][:32, :48]
    near = Restorer(qe, precision="bf16")(photo)
    assert 0 < np.abs(near.astype(int) - restore(qe, photo)).max() <= 8
    broken = build_generator({**SMALL, "scale": 1})
    torch.nn.init.constant_(broken.conv_last.bias, float("nan"))
    with pytest.raises(UserError, match="not finite in fp32"):
        Restorer(broken.eval())(photo)
