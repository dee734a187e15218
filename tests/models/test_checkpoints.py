"""Weight files: ours come back, others are refused with the names of what does not fit."""

import pickle
from pathlib import Path

import pytest
import torch

from models import WeightsError, build_generator, load_weights, options_in_file
from models.checkpoints import read_state
from models.weight_files import export_weights

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {"type": "cisrnet", "scale": 2, "num_feat": 8, "coarse_groups": 1, "coarse_blocks": 1, "fine_groups": 1,
         "fine_blocks": 1}  # fmt: skip


@pytest.fixture
def network():
    return build_generator(SMALL)


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_exported_weights_come_back_and_say_what_they_are(network, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(export_weights(network, {"iteration": 7}))
    other = build_generator(SMALL)
    assert not same(network, other)
    load_weights(other, path)
    assert same(network, other)
    assert same(network, build_generator(options_in_file(path)))


@pytest.mark.parametrize("wrap", [
    lambda state: state,
    lambda state: {"params": {}, "params_ema": state},
    lambda state: {"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    lambda state: {"networks": {"generator": state}, "ema": None, "iteration": 3},
    lambda state: {"networks": {"generator": {}}, "ema": state},
])  # fmt: skip
def test_containers_and_prefixes_are_unwrapped(network, tmp_path, wrap):
    torch.save(wrap(network.state_dict()), tmp_path / "weights.pth")
    other = build_generator({**SMALL, "weights": tmp_path / "weights.pth"})
    assert same(network, other)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("fine.0.bias"), "missing: fine.0.bias"),
        (lambda state: state.update({"extra.weight": torch.zeros(1)}), "unexpected: extra.weight"),
        (lambda state: state.update({"fine.0.bias": torch.zeros(9)}), "fine.0.bias (file 9, network 8)"),
    ],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_loaded(network, tmp_path, change, named):
    state = {name: torch.full_like(tensor, 3.0) for name, tensor in network.state_dict().items()}
    change(state)
    torch.save(state, tmp_path / "weights.pth")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError) as error:
        load_weights(network, tmp_path / "weights.pth")
    assert named in str(error.value) and "weights.pth" in str(error.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_a_file_of_another_scale_says_so(network, tmp_path):
    path = tmp_path / "x3.safetensors"
    path.write_bytes(export_weights(build_generator({**SMALL, "scale": 3}), {}))
    with pytest.raises(WeightsError, match="written for scale 3"):
        load_weights(network, path)
    with pytest.raises(WeightsError, match="another shape: coarse_upsampler"):
        load_weights(build_generator({**SMALL, "num_feat": 16, "coarse_blocks": 2, "fine_blocks": 2, "scale": 2}),
                     GOLDEN / "cisrnet_x3_feats16.pt")  # fmt: skip


class _Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize("name", ["evil.pth", "evil.pt", "evil.bin"])
def test_a_pickle_that_would_run_code_is_refused(network, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pickle.dumps({"params": _Evil()}))
    with pytest.raises(WeightsError, match=f"{name}: not a file of plain tensors, refused"):
        load_weights(network, name)
    torch.save({"params": _Evil()}, name)
    with pytest.raises(WeightsError, match="refused"):
        load_weights(network, name)
    assert not Path("evil-was-here").exists()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("empty.pth", b"", "refused"),
        ("text.pth", b"hello", "refused"),
        ("short.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "not a whole safetensors file"),
    ],
)
def test_other_files_are_refused(network, tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=what):
        load_weights(network, tmp_path / name)
    with pytest.raises(WeightsError, match="no such weight file"):
        load_weights(network, tmp_path / "nothing.pth")


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="holds no network weights"):
        read_state(tmp_path / "a.pth")


def test_a_foreign_file_does_not_say_what_it_is(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="does not say which network"):
        options_in_file(tmp_path / "a.pth")
