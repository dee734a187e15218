"""`python test.py export`: ONNX files that give what PyTorch gives at any size, and weights that say what they are."""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from evaluation import export
from models import build_generator, options_in_file
from models.weight_files import about, export_weights
from utils.errors import UserError

GOLDEN = Path(__file__).parents[1] / "golden"
SMALL = {
    "rrdbnet": {"type": "rrdbnet", "num_feat": 4, "num_block": 1, "num_grow_ch": 2},
    "cisrnet": {"type": "cisrnet", "num_feat": 8, "coarse_groups": 1, "coarse_blocks": 1, "fine_groups": 1,
                "fine_blocks": 1},
    "rcan": {"type": "rcan", "num_feat": 8, "reduction": 4, "groups": 1, "blocks": 1},
    "rdn": {"type": "rdn", "num_feat": 8, "num_grow_ch": 4, "blocks": 1, "layers": 2},
    "vdsr": {"type": "vdsr", "num_feat": 4, "layers": 3},
    "cisr_psi": {"type": "cisr_psi", "num_feat": 8, "reduction": 4, "arm_groups": 1, "rem_groups": 1, "blocks": 1},
}  # fmt: skip


def run(*arguments) -> int:
    parser = argparse.ArgumentParser()
    export.add_arguments(parser)
    return export.main(parser.parse_args([str(argument) for argument in arguments]))


def weights(folder, type_, scale, **sizes):
    torch.manual_seed(0)
    path = folder / f"{type_}.safetensors"
    path.write_bytes(export_weights(build_generator({**SMALL[type_], "scale": scale, **sizes}), {"iteration": 7}))
    return path


@pytest.mark.parametrize(
    ("type_", "scale", "sizes"),
    [
        ("rrdbnet", 1, {"pixel_unshuffle": False}),
        ("rrdbnet", 1, {"pixel_unshuffle": True}),
        ("rrdbnet", 2, {}),
        ("rrdbnet", 4, {}),
        ("cisrnet", 2, {}),
        ("cisrnet", 3, {"coarse_block_kind": "sequential", "fine_block_kind": "parallel"}),
        ("cisrnet", 4, {"fine_groups": 0}),
        ("rcan", 3, {}),
        ("rdn", 4, {}),
    ],
)
def test_onnx_gives_what_pytorch_gives_at_any_size(tmp_path, capsys, type_, scale, sizes):
    path, file = weights(tmp_path, type_, scale, **sizes), tmp_path / "new" / "network.onnx"
    assert run("--weights", path, "--output", file) == 0
    assert f"x{scale}" in (said := capsys.readouterr().out) and "largest difference" in said
    network = build_generator(options_in_file(path)).eval()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])
    for shape in [(1, 3, 8, 8), (3, 3, 4, 5), (1, 3, 30, 19), (2, 3, 33, 50)]:  # none of them the exporter's
        lr = torch.rand(shape)
        with torch.inference_mode():
            expected = network(lr).numpy()
        np.testing.assert_allclose(session.run(None, {"lr": lr.numpy()})[0], expected, atol=1e-5)
    (given,) = session.get_inputs()
    assert (given.name, given.shape) == ("lr", ["batch", 3, "height", "width"])
    said = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert json.loads(said["generator"]) == network.options.model_dump(mode="json", exclude={"weights"})
    assert [path.name for path in file.parent.iterdir()] == ["network.onnx"]


def test_a_published_file_becomes_one_that_says_what_it_is(tmp_path, capsys):
    published, file = GOLDEN / "rrdbnet_qe_gan_feats16_blocks2_grow8_ddp.pt", tmp_path / "qe.safetensors"
    assert run("--weights", published, "--output", file) == 0 and str(file) in capsys.readouterr().out
    again, lr = build_generator(options_in_file(file)), torch.rand(1, 3, 8, 9)
    with torch.inference_mode():
        assert torch.equal(again(lr), build_generator({"type": "rrdbnet", "weights": published})(lr))


def test_what_a_file_says_of_itself_is_kept(tmp_path):
    path, file = weights(tmp_path, "vdsr", 2), tmp_path / "again.safetensors"
    run("--weights", path, "--output", file)
    assert about(file) == about(path) and about(file)["iteration"] == 7
    assert file.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("type_", "why"), [("cisr_psi", "windows by its size"), ("vdsr", "MATLAB's kernel")])
def test_networks_that_no_graph_can_hold_are_refused(tmp_path, type_, why):
    file = tmp_path / "network.onnx"
    with pytest.raises(UserError, match=f"^{type_} cannot be exported as ONNX: .*{why}"):
        run("--weights", weights(tmp_path, type_, 2), "--output", file)
    assert not file.exists()


def test_a_network_that_the_exporter_cannot_hold_is_one_line():
    network = build_generator({"type": "bicubic", "scale": 2})  # refused by name on the command line
    with pytest.raises(UserError, match=r"^bicubic cannot be exported as ONNX: .*aten::\w+") as refusal:
        export.as_onnx(network)
    assert "\n" not in str(refusal.value)


def test_nothing_is_written_that_differs_from_pytorch(tmp_path, monkeypatch):
    path, file = weights(tmp_path, "cisrnet", 2), tmp_path / "network.onnx"
    file.write_bytes(b"the one before")
    exported = export.as_onnx

    def slightly_other(generator):
        payload = exported(generator)
        with torch.no_grad():
            generator.fine[-1].bias += 0.1  # on 0–255: 4e-4 of 1
        return payload

    monkeypatch.setattr(export, "as_onnx", slightly_other)
    with pytest.raises(UserError, match=r"differs from PyTorch by 3\.9e-04 at 24×36"):
        run("--weights", path, "--output", file, "--overwrite")
    assert file.read_bytes() == b"the one before"


def test_a_graph_with_a_fixed_size_is_noticed(monkeypatch):
    monkeypatch.setattr(export, "TRACED", (1, 24, 36))  # multiples of 2: the padding would be left out of the graph
    network = build_generator({**SMALL["rrdbnet"], "scale": 2}).eval()
    with pytest.raises(UserError, match="fails at 17×23"):
        export.check_onnx(export.as_onnx(network), network)


def test_mistakes_are_named_before_anything_is_loaded(tmp_path, monkeypatch):
    there = weights(tmp_path, "rrdbnet", 1)
    with pytest.raises(UserError, match=r"ends in \.onnx or \.safetensors"):
        run("--weights", tmp_path / "none.pth", "--output", tmp_path / "network.pt")
    with pytest.raises(UserError, match="is there already"):
        run("--weights", tmp_path / "none.pth", "--output", there)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnx" else found(name))
    with pytest.raises(UserError, match=r"^onnx not installed; .*requirements-export\.txt"):
        run("--weights", tmp_path / "none.pth", "--output", tmp_path / "network.onnx")
