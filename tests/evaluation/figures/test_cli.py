"""`python -m evaluation.figures`: files that it writes, and mistakes in one line."""

import sys

import pytest
import yaml

from evaluation.figures.__main__ import main
from utils.cli import run
from utils.images import image_size


@pytest.fixture
def evaluated(tmp_path):
    """An options file, and two rows of results at each of two qualities."""
    path = tmp_path / "table.yml"
    options = {
        "name": "table",
        "results": str(tmp_path / "results"),
        "scale": 2,
        "models": [
            {"name": "Bicubic", "generator": {"type": "bicubic", "scale": 2}},
            {"name": "Ours", "weights": str(tmp_path / "ours.safetensors")},
        ],
        "datasets": [{"name": "Set5", "hr": "nowhere", "compressions": ["jpeg10", "jpeg40"]}],
    }
    path.write_text(yaml.safe_dump(options))
    (tmp_path / "results/table").mkdir(parents=True)
    rows = [f"{model},Set5,{spec},{psnr},0.5" for model, psnr in [("Bicubic", 27), ("Ours", 28)] for spec in SPECS]
    (tmp_path / "results/table/average.csv").write_text("\n".join([HEAD, *rows]))
    return path


SPECS = ("jpeg10", "jpeg40")
WORDS = b"model,dataset,compression,psnr_y,bits_per_pixel\nBicubic,Set5,jpeg10,high,0.5\n"
HEAD = "model,dataset,compression,psnr_y,bits_per_pixel"


def called(monkeypatch, capsys, *arguments):
    """Exit status, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", ["figures", *map(str, arguments)])
    status = run(main)
    return status, *capsys.readouterr()


def test_curves_and_heat_map_are_written_as_png_and_pdf(evaluated, tmp_path, monkeypatch, capsys):
    output = tmp_path / "drawn"
    for command, names in [
        ("curves", ["curves_table_quality", "curves_table_bits_per_pixel"]),
        ("heat-map", ["heat_map_table"]),
    ]:
        status, out, err = called(monkeypatch, capsys, command, "--options", evaluated, "--output", output)
        assert status == 0 and err == ""
        assert out.split() == [str(output / f"{name}.{suffix}") for name in names for suffix in ("png", "pdf")]
        for name in names:
            assert min(image_size(output / f"{name}.png")) > 100
            assert (output / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert len(list(output.iterdir())) == 6


def test_networks_are_drawn_at_the_width_of_a_page(monkeypatch, capsys, tmp_path):
    status, out, _ = called(monkeypatch, capsys, "networks", "--output", tmp_path)
    assert status == 0 and len(out.split()) == 6
    for name in ("cisr_psi", "cisrnet", "rrdbnet"):
        _, width = image_size(tmp_path / f"network_{name}.png")
        assert 1200 <= width <= 1500 and (tmp_path / f"network_{name}.png").stat().st_size < 300_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["curves", "name=other"], "other/average.csv: not there; run `bash eval.sh`"),
        (["heat-map", "--measure", "lpips"], "lpips was not measured (psnr_y was)"),
        (["curves", "datasets.0.compressions=[jpeg10]"], "no codec has psnr_y at two qualities"),
        (["heat-map", "models.0.generator={type: cisrnet, scale: 2}"], "no gain to show"),
        (["crops"], "images.csv: not there"),
        (["crops", "--image", "Set5/bird/jpeg10"], "nowhere"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(arguments, said, evaluated, tmp_path, monkeypatch, capsys):
    command, *more = arguments
    output = tmp_path / "drawn"
    status, out, err = called(monkeypatch, capsys, command, *more, "--options", evaluated, "--output", output)
    assert status == 2 and out == "" and said in err and err.count("\n") == 1
    assert not output.exists()


def test_damaged_tables_are_refused(evaluated, tmp_path, monkeypatch, capsys):
    table = tmp_path / "results/table/average.csv"
    for content, said in [
        (b"", "cannot be read"),
        (b"model,psnr_y\na,1\n", "no column dataset, compression, bits_per_pixel"),
        (WORDS, "psnr_y was not"),
    ]:
        table.write_bytes(content)
        status, _, err = called(monkeypatch, capsys, "curves", "--options", evaluated)
        assert status == 2 and said in err and err.count("\n") == 1


def test_a_missing_run_is_one_line(monkeypatch, capsys, tmp_path):
    status, _, err = called(monkeypatch, capsys, "training", tmp_path / "nowhere", "--output", tmp_path / "drawn")
    assert status == 2 and "no such folder" in err
