"""`python test.py interpolate`: weights between those of several trainings."""

import argparse

import pytest
import torch
from safetensors.torch import load_file

from evaluation import interpolate
from models import build_generator, options_in_file
from models.weight_files import about, export_weights
from utils.errors import UserError

SMALL = {"type": "rrdbnet", "scale": 1, "num_feat": 4, "num_block": 1, "num_grow_ch": 2, "pixel_unshuffle": False}


def run(*arguments) -> int:
    parser = argparse.ArgumentParser()
    interpolate.add_arguments(parser)
    return interpolate.main(parser.parse_args([str(argument) for argument in arguments]))


def trained(path, seed, **sizes):
    torch.manual_seed(seed)
    path.write_bytes(export_weights(build_generator({**SMALL, **sizes}), {"iteration": 7}))
    return path


@pytest.fixture
def two(tmp_path):
    return trained(tmp_path / "a.safetensors", 0), trained(tmp_path / "b.safetensors", 1)


@pytest.mark.parametrize("alpha", [0, 0.2, 0.5, 1])
def test_each_weight_is_between(two, tmp_path, alpha, capsys):
    output = tmp_path / "between.safetensors"
    assert run(*two, "--alpha", alpha, "--output", output) == 0
    a, b, between = (load_file(path) for path in (*two, output))
    assert between.keys() == a.keys()
    for name, tensor in between.items():
        assert tensor.dtype == a[name].dtype
        torch.testing.assert_close(tensor, (1 - alpha) * a[name] + alpha * b[name], rtol=1e-6, atol=1e-7)
    assert about(output)["between"] == "a.safetensors and b.safetensors"
    assert f"{alpha:g} of {two[1]}" in capsys.readouterr().out


def test_the_mean_of_several(two, tmp_path, capsys):
    files = [*two, trained(tmp_path / "c.safetensors", 2)]
    output = tmp_path / "mean.safetensors"
    assert run(*files, "--output", output) == 0
    *each, mean = (load_file(path) for path in (*files, output))
    for name, tensor in mean.items():
        expected = torch.stack([weights[name] for weights in each]).double().mean(0).to(tensor.dtype)
        torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=1e-7)
    assert about(output)["between"] == "a.safetensors and b.safetensors and c.safetensors"
    assert f"0.333 of {files[2]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "arguments", "message"), [(1, [], "two weights or more"), (3, ["--alpha", 0.5], "3 have equal shares")]
)
def test_how_many(two, tmp_path, count, arguments, message):
    output = tmp_path / "c.safetensors"
    with pytest.raises(UserError, match=message):
        run(*[*two, two[0]][:count], *arguments, "--output", output)
    assert not output.exists()


def test_the_file_restores(two, tmp_path):
    output = tmp_path / "between.safetensors"
    run(*two, "--output", output)
    network = build_generator(options_in_file(output)).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 8, 8)).isfinite().all()


def test_names_in_checkpoints(tmp_path):
    assert run("rrdbnet_hevc37", "esrgan_hevc37", "--alpha", 0.2, "--output", tmp_path / "between.safetensors") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "c.pth"], "ends in .safetensors"),
        (["--output", "c.safetensors", "--alpha", "1.5"], "a share from 0 to 1"),
        (["--output", "c.safetensors", "--alpha", "nan"], "a share from 0 to 1"),
        (["--output", "a.safetensors"], "is there already"),
    ],
)
def test_mistakes(two, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message):
        run(*two, *arguments)
    assert sorted(tmp_path.iterdir()) == before


def test_two_networks_are_refused_by_what_differs(two, tmp_path):
    wider = trained(tmp_path / "wider.safetensors", 0, num_feat=8)
    with pytest.raises(UserError, match="num_feat 4 and 8"):
        run(two[0], wider, "--output", tmp_path / "c.safetensors")
    assert not (tmp_path / "c.safetensors").exists()
