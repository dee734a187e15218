"""DnCNN and AR-CNN: their published sizes, one channel on colour images, and the files that their authors publish."""

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from pydantic import ValidationError

from models import WeightsError, build_generator, count_parameters, load_weights, options_in_file
from models.weight_files import export_weights

SMALL = {"dncnn": {"num_feat": 6, "layers": 4}, "arcnn": {"num_feat": (6, 5, 4)}}


def small(type_, **values):
    torch.manual_seed(0)
    return build_generator({"type": type_, "scale": 1, **SMALL[type_], **values}).eval()


def picture(count=1):
    return torch.rand(count, 3, 21, 18, generator=torch.Generator().manual_seed(1))


def dncnn_file(path, kernels, biases, **changes):
    """A network as MatConvNet writes it by MATLAB's `save -v7.3`: every array's axes are turned around."""
    with h5py.File(path, "w", userblock_size=512) as file:
        references = file.create_group("#refs#")
        layers = []
        for number, (kernel, bias) in enumerate(zip(kernels, biases)):
            stored = kernel.transpose(0, 1, 3, 2)  # HWIO in MATLAB, so OIWH here
            stored = stored[0] if len(stored) == 1 else stored  # MATLAB drops a last axis of 1
            tensors = [
                references.create_dataset(f"w{number}", data=stored, compression="gzip"),
                references.create_dataset(f"b{number}", data=bias[None]),
            ]
            layer = references.create_group(f"l{number}")
            refs = layer.create_dataset("weights", (2, 1), dtype=h5py.ref_dtype)
            refs[:, 0] = [tensor.ref for tensor in tensors]
            layers += [layer, references.create_group(f"relu{number}")]
        net = file.create_group("net").create_dataset("layers", (len(layers) - 1, 1), dtype=h5py.ref_dtype)
        net[:, 0] = [layer.ref for layer in layers[:-1]]
        for change in changes.values():
            change(file)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(512))


def arcnn_file(path, **changes):
    """Four convolutions as AR-CNN's release holds them: in × side² (columns first) × out. Returns ours by torch."""
    rng = np.random.default_rng(0)
    shapes = {"1": (6, 1, 9), "2": (5, 6, 7), "22": (4, 5, 1), "3": (1, 4, 5)}
    variables, state = {}, {}
    for name, (out, into, side) in shapes.items():
        kernel, bias = rng.normal(0, 0.1, (out, into, side, side)), rng.normal(0, 0.1, out).astype(np.float32)
        columns = kernel.transpose(1, 3, 2, 0).reshape(into, side * side, out)
        variables[f"weights_conv{name}"] = columns[..., 0] if out == 1 else columns
        variables[f"biases_conv{name}"] = bias[:, None]
        ours = {"1": "extract", "2": "enhance", "22": "map", "3": "reconstruct"}[name]
        state |= {f"{ours}.weight": torch.tensor(kernel).float(), f"{ours}.bias": torch.tensor(bias)}
    scipy.io.savemat(path, {**variables, **changes}, do_compression=True)
    return state


def test_the_papers_sizes_are_the_defaults():
    for type_, parameters in (("dncnn", 665_921), ("arcnn", 106_561)):
        assert count_parameters(build_generator({"type": type_})) == parameters


@pytest.mark.parametrize("type_", SMALL)
@pytest.mark.parametrize("luma", ["full", "limited"])
def test_one_channel_changes_y_alone(type_, luma):
    network, image = small(type_, luma=luma), picture(2)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    with torch.inference_mode():
        restored = network(image)
        grey = network(image[:, :1].expand(-1, 3, -1, -1))
    assert restored.shape == image.shape
    change = ((restored - image) * weights).sum(1, keepdim=True)
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(restored - image, change.expand(-1, 3, -1, -1), atol=1e-5, rtol=0)
    torch.testing.assert_close(grey, grey[:, :1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize("type_", SMALL)
def test_three_channels_are_restored_together_and_weights_come_back(tmp_path, type_):
    network, image, path = small(type_, channels=3), picture(), tmp_path / "weights.safetensors"
    path.write_bytes(export_weights(network, {}))
    again = build_generator(options_in_file(path)).eval()
    with torch.inference_mode():
        assert torch.equal(again(image), network(image))


def test_dncnn_starts_as_its_input():
    network, image = small("dncnn"), picture()
    network.start_as_interpolation()
    with torch.inference_mode():
        torch.testing.assert_close(network(image), image)


def test_arcnn_repeats_the_edge():
    network = small("arcnn", channels=3)
    with torch.inference_mode():
        flat = network(torch.full((1, 3, 9, 9), 0.5))
    torch.testing.assert_close(flat, flat[..., :1, :1].expand_as(flat), atol=1e-5, rtol=0)


def test_dncnns_published_layout(tmp_path):
    network = small("dncnn")
    convs = [layer for layer in network.body if isinstance(layer, torch.nn.Conv2d)]
    kernels, biases = ([getattr(conv, part).detach().numpy() for conv in convs] for part in ("weight", "bias"))
    dncnn_file(tmp_path / "net.mat", kernels, biases)
    again = build_generator({"type": "dncnn", **SMALL["dncnn"], "weights": tmp_path / "net.mat"})
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), network.state_dict().values()))
    with pytest.raises(WeightsError, match=r"net\.mat: does not fit DnCNN"):
        build_generator({"type": "dncnn", "weights": tmp_path / "net.mat"})


def test_arcnns_published_layout(tmp_path):
    state = arcnn_file(tmp_path / "q10.mat")
    network = small("arcnn", weights=tmp_path / "q10.mat")
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def remade(file, name, **values):
    del file[f"#refs#/{name}"]
    file["#refs#"].create_dataset(name, **values)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda file: file.pop("net"), "no net.layers"),
        (lambda file: file["net"].pop("layers"), "no net.layers"),
        # Nothing is written of a data set without values: it costs no bytes, and reads as zeros.
        (lambda f: _point(f, f["#refs#"].create_dataset("x", (1 << 20, 1 << 10, 3, 3), "f4", chunks=True)), "own size"),
        (lambda f: _point(f, f["#refs#"].create_dataset("x", (6, 1, 3, 3), "i4")), "type int32"),
        (lambda f: _point(f, f["#refs#"].create_dataset("x", (6, 9), "f4")), "2 axes"),
        (lambda f: _point(f, f["#refs#"].create_dataset("x", data=np.full((6, 1, 3, 3), np.nan, "f4"))), "not finite"),
        (lambda f: _point(f, f["#refs#"].create_group("x")), "missing"),
        (
            lambda f: _point(
                f, f["#refs#"].create_dataset("x", (6, 1, 3, 3), "f4", external=[("/etc/passwd", 0, 216)])
            ),
            "outside",
        ),
        (lambda f: f["#refs#/l0"].pop("weights") and None, "does not fit|no convolutions"),
        (lambda f: _elsewhere(f), "outside"),
    ],
)
def test_files_that_are_no_network_are_refused(tmp_path, change, why):
    convs = [layer for layer in small("dncnn").body if isinstance(layer, torch.nn.Conv2d)]
    kernels, biases = ([getattr(conv, part).detach().numpy() for conv in convs] for part in ("weight", "bias"))
    dncnn_file(tmp_path / "net.mat", kernels, biases, change=change)
    network = small("dncnn")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=why) as error:
        load_weights(network, tmp_path / "net.mat")
    assert len(str(error.value).splitlines()) == 1 and "net.mat" in str(error.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def _point(file, dataset):
    """Let the first kernel be another object."""
    file["#refs#/l0/weights"][0, 0] = dataset.ref


def _elsewhere(file):
    del file["#refs#/l0/weights"]
    file["#refs#/l0/weights"] = h5py.ExternalLink("other.h5", "/weights")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a MATLAB file"),
        (b"MATLAB 5.0 MAT-file".ljust(128) + b"\xff" * 64, "damaged|holds no"),
        (b"MATLAB 7.3 MAT-file".ljust(512), "damaged"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "damaged"),
    ],
)
def test_damaged_files_are_refused_in_one_line(tmp_path, content, why):
    path = tmp_path / "net.mat"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=why) as error:
        load_weights(small("dncnn"), path)
    assert len(str(error.value).splitlines()) == 1


def test_variables_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "q10.mat"
    for changes, why in (
        ({"weights_conv1": "text"}, "does not hold numbers"),
        ({"weights_conv1": np.zeros((1, 80, 6))}, "square kernels"),
        ({"weights_conv1": np.full((1, 81, 6), np.inf)}, "not finite"),
        ({"weights_conv1": np.array([{}], dtype=object)}, "does not hold numbers"),
    ):
        arcnn_file(path, **changes)
        with pytest.raises(WeightsError, match=why):
            load_weights(small("arcnn"), path)
    scipy.io.savemat(path, {"other": np.zeros(3)})
    with pytest.raises(WeightsError, match="holds no weights_conv1"):
        load_weights(small("arcnn"), path)


@pytest.mark.parametrize("wrong", [{"scale": 2}, {"channels": 2}, {"luma": "y"}, {"num_feat": 0}, {"num_feat": 10**12}])
@pytest.mark.parametrize("type_", SMALL)
def test_impossible_options_are_refused(type_, wrong):
    with pytest.raises(ValidationError):
        build_generator({"type": type_, **wrong})
