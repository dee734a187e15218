"""Weight files that are damaged, of another kind, or made to do harm."""

import io
import json
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from models import WeightsError, build_generator, load_weights, options_in_file
from models.checkpoints import build_with_weights, read_state
from models.weight_files import about, as_safetensors, export_weights, read_tensors

SHIPPED = sorted((Path(__file__).parents[2] / "checkpoints").glob("*.safetensors"))
SMALL = {"type": "rrdbnet", "scale": 1, "num_feat": 4, "num_block": 1, "num_grow_ch": 4, "pixel_unshuffle": False}


@pytest.fixture(scope="module")
def network():
    return build_generator(SMALL)


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def same(found, state):
    return found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


@settings(max_examples=80, deadline=None)
@given(kind=st.sampled_from(["pth", "safetensors"]), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_noticed_or_changes_no_tensor(tmp_path_factory, kind, place, bit):
    state = build_generator(SMALL).state_dict()
    data = bytearray(saved(state) if kind == "pth" else as_safetensors(state, {"iteration": 5}))
    data[int(place * len(data))] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / f"flipped.{kind}"
    path.write_bytes(data)
    try:
        found = read_tensors(path)
    except WeightsError as error:
        assert str(path) in str(error)
    else:
        assert same(found, state)


def test_a_checksum_is_of_what_the_file_says_of_itself_too(network, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(export_weights(network, {"iteration": 5000}).replace(b"5000", b"9000"))
    with pytest.raises(WeightsError, match=r"a\.safetensors: damaged: .* checksum"):
        read_tensors(path)
    assert about(path)["iteration"] == 9000  # shown, not believed: nothing is loaded


def test_a_file_without_a_checksum_is_read(network, tmp_path):
    text = as_safetensors(network.state_dict(), {})
    assert b"sha256" in text
    (tmp_path / "foreign.safetensors").write_bytes(text.replace(b"sha256", b"author"))
    assert same(read_tensors(tmp_path / "foreign.safetensors"), network.state_dict())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_weights_that_ship_carry_a_checksum(path, tmp_path):
    read_tensors(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    (tmp_path / path.name).write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        read_tensors(tmp_path / path.name)


WRAPPED = {
    "torch.compile": lambda network: {f"_orig_mod.{name}": tensor for name, tensor in network.state_dict().items()},
    "several processes": lambda network: {f"module.{name}": tensor for name, tensor in network.state_dict().items()},
    "both": lambda network: {f"_orig_mod.module.{name}": tensor for name, tensor in network.state_dict().items()},
    "an average": lambda network: AveragedModel(network).state_dict(),
    "nothing": lambda network: network.state_dict(),
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.pth", saved),
        ("a.safetensors", lambda state: as_safetensors(state, {})),
        ("named.pth", lambda state: as_safetensors(state, {})),
        ("UPPER.SAFETENSORS", lambda state: as_safetensors(state, {})),
        ("named.safetensors", saved),
    ],
)
def test_wrappers_and_suffixes_make_no_difference(network, tmp_path, wrapped, name, write):
    (tmp_path / name).write_bytes(write(WRAPPED[wrapped](network)))
    assert same(read_state(tmp_path / name), network.state_dict())
    assert same(build_generator(options_in_file(tmp_path / name)).state_dict(), network.state_dict())


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors", "A.SAFETENSORS"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer.*git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page, not weights"),
        (b"<html>", "a web page, not weights"),
    ],
)
def test_files_taken_for_weights_by_mistake_are_named(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=what):
        options_in_file(tmp_path / name)


def zipped(network, compression):
    """The same records, packed by another program."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"w": torch.zeros(100_000)}))) as there, zipfile.ZipFile(file, "w") as here:
        for name in there.namelist():
            here.writestr(name, there.read(name), compression)
    return file.getvalue()


def script(network):
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (lambda network: saved({1: torch.zeros(1), "a": torch.zeros(1)}), "holds no network weights"),
        (lambda network: saved({"networks": 5}), "holds no network weights"),
        (lambda network: saved({"networks": {}}), "holds no network weights"),
        (lambda network: saved({"networks": {"generator": 3}}), "holds no network weights"),
        (lambda network: saved({"w": torch.zeros(1).expand(1 << 40)}), "not a plain tensor"),
        (lambda network: saved({"w": torch.zeros(2, 2).to_sparse()}), "not a plain tensor"),
        (lambda network: saved({"w": torch.zeros(1 << 40, device="meta")}), "not a plain tensor"),
        (lambda network: saved({f"w{n}": t for t in [torch.zeros(20_000)] for n in range(9)}), "its tensors take"),
        (lambda network: zipped(network, zipfile.ZIP_DEFLATED), "unpack to more bytes than the file has"),
        (script, "TorchScript"),
    ],
)
def test_files_that_hold_something_else_are_refused(network, tmp_path, content, what):
    (tmp_path / "a.pth").write_bytes(content(network))
    with pytest.raises(WeightsError, match=rf"a\.pth: .*{what}"):
        read_tensors(tmp_path / "a.pth")


def saying(path, said, shape=(1,)):
    """A safetensors file of one small tensor that says `said` of itself."""
    size = 4 if 0 not in shape else 0
    header = {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}, "__metadata__": {"about": said}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    return path


@pytest.mark.parametrize("generator", [
    {"type": "cisrnet", "scale": 2, "num_feat": 8000},
    {"type": "cisrnet", "scale": 2, "num_feat": 4000},
    {"type": "cisrnet", "scale": 2, "num_feat": 10**30},
    {"type": "rrdbnet", **SMALL, "num_block": 10**7},
    {"type": "rcan", "scale": 2, "num_feat": 4, "reduction": 2, "groups": 1000, "blocks": 1000},
    {"type": "cisr_psi", "scale": 2, "steps": 10**9},
])  # fmt: skip
def test_a_small_file_cannot_ask_for_a_vast_network(tmp_path, generator):
    path = saying(tmp_path / "vast.safetensors", json.dumps({"generator": generator}))
    assert path.stat().st_size < 500
    with pytest.raises(WeightsError, match=r"vast\.safetensors"):
        build_generator(options_in_file(path))


def test_a_network_takes_memory_only_once_the_file_fits(network, tmp_path):
    devices = []

    def make():
        devices.append(torch.empty(0).device.type)
        return build_generator(SMALL)

    (tmp_path / "other.pth").write_bytes(saved({"w": torch.zeros(4)}))
    with pytest.raises(WeightsError, match="does not fit RRDBNet"):
        build_with_weights(make, tmp_path / "other.pth")
    assert devices == ["meta"]
    (tmp_path / "own.pth").write_bytes(saved(network.state_dict()))
    assert same(build_with_weights(make, tmp_path / "own.pth").state_dict(), network.state_dict())
    assert devices == ["meta", "meta", "cpu"]


def test_tensors_that_tell_impossible_sizes_are_refused(tmp_path):
    state = {"conv_first.weight": torch.zeros(0, 3, 3, 3), "body.0.rdb1.conv1.weight": torch.zeros(0, 0, 3, 3)}
    torch.save({**state, "conv_last.weight": torch.zeros(3, 0, 3, 3)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a\.pth: its tensors tell num_(feat|grow_ch) 0"):
        options_in_file(tmp_path / "a.pth")


@pytest.mark.parametrize("said", ["[" * 100_000, '{"generator": ' + "9" * 5000 + "}", "not JSON", "[1]", '"a"'])
def test_what_a_foreign_file_says_of_itself_is_no_traceback(tmp_path, said):
    path = saying(tmp_path / "a.safetensors", said)
    assert about(path) == {}
    assert read_tensors(path)["a"].shape == (1,)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_all_that_load(network, tmp_path, value):
    state = OrderedDict((name, tensor.clone()) for name, tensor in network.state_dict().items())
    state["conv_body.bias"][1] = value
    path = tmp_path / "diverged.safetensors"
    path.write_bytes(as_safetensors(state, {"generator": network.options.model_dump(mode="json")}))
    with pytest.raises(WeightsError, match=r"diverged\.safetensors: conv_body\.bias holds numbers that are not finite"):
        build_generator(options_in_file(path))
    with pytest.raises(WeightsError, match="not finite"):
        load_weights(build_generator(SMALL), path)
