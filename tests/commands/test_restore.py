"""`python test.py restore`: which files become which, what is refused, what is said, and nothing half-written."""

import argparse
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from commands import choose_network as choose
from commands.restore import main, parse
from inference import shipped_weights as weights_by_name
from inference.restorer import Restorer
from inference.whole_image import restore
from models import build_generator
from models.weight_files import export_weights
from utils.errors import UserError
from utils.images import read_image, write_png

ROOT = Path(__file__).parents[2]
QE = ROOT / "tests/golden/rrdbnet_qe_gan_feats16_blocks2_grow8_ddp.pt"
X2 = ROOT / "tests/golden/rrdbnet_sr_x2_feats16_blocks2_grow8.pth"
SMALL = {"type": "rrdbnet", "num_feat": 4, "num_block": 1, "num_grow_ch": 2}


def run(*arguments) -> int:
    return main(parse([str(argument) for argument in arguments]))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def qe():
    return build_generator({"type": "rrdbnet", "weights": QE}).eval()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A `checkpoints` folder with two small networks, one of them with a card."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name, scale in (("small_x1", 1), ("small_x2", 2)):
        network = build_generator({**SMALL, "scale": scale, "pixel_unshuffle": False})
        (folder / f"{name}.safetensors").write_bytes(export_weights(network, {"experiment": name}))
    (folder / "small_x2.md").write_text("# Doubles photos\n\nMore words.\n")
    torch.save({"features.0.weight": torch.zeros(1)}, folder / "vgg19-dcbb9e9d.pth")
    monkeypatch.setattr(weights_by_name, "FOLDER", folder)
    return folder


@pytest.fixture
def tree(tmp_path, photos):
    """Photos in a folder and a sub-folder, two of one base name, and things that are no photos."""
    folder = tmp_path / "in"
    (folder / "trip" / ".cache").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "trip/b.webp", "trip/.cache/c.png", ".d.png"):
        Image.fromarray(photos["chelsea"][:24, :31]).save(folder / name)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_a_small_photo_is_restored_as_evaluation_does(tmp_path, photos, qe):
    write_png(tmp_path / "photo.png", photos["coffee"][:50, :40])
    assert run(tmp_path / "photo.png", "--output", tmp_path / "out", "--weights", QE) == 0
    np.testing.assert_array_equal(read_image(tmp_path / "out/photo.png"), restore(qe, photos["coffee"][:50, :40]))


def test_folders_are_mirrored_and_names_stay_apart(tree, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(tree, "--output", out, "--weights", X2) == 0
    assert files(out) == ["a_jpg.png", "a_png.png", "trip/b.png"]
    assert all(read_image(path).shape == (48, 62, 3) for path in out.rglob("*.png"))
    assert capsys.readouterr().out == f"restored 3; in {out}\n"


def test_what_is_there_is_skipped_or_overwritten(tree, tmp_path, capsys):
    out = tmp_path / "out"
    run(tree / "a.jpg", "--output", out, "--weights", QE)
    first = (out / "a.png").read_bytes()
    (out / "a.png").write_bytes(b"mine")
    assert run(tree / "a.jpg", "--output", out, "--weights", QE) == 0
    assert (out / "a.png").read_bytes() == b"mine"
    assert "restored 0, skipped 1" in capsys.readouterr().out
    assert run(tree / "a.jpg", "--output", out, "--weights", QE, "--overwrite") == 0
    assert (out / "a.png").read_bytes() == first


def test_globs_mirror_below_their_fixed_part(tree, tmp_path):
    out = tmp_path / "out"
    assert run(f"{tree}/**/*.webp", f"{tree}/*.jpg", "--output", out, "--weights", QE) == 0
    assert files(out) == ["a.png", "trip/b.png"]


def test_an_output_folder_among_the_photos_is_not_restored_again(tree):
    for _ in range(2):
        assert run(tree, "--output", tree / "out", "--weights", QE) == 0
    assert files(tree / "out") == ["a_jpg.png", "a_png.png", "trip/b.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tree}/none.jpg"], "none.jpg: no such file or folder"),
        (["{tree}/*.gif"], "no photos there"),
        (["{tree}/trip/.cache/../../.hidden*"], "no photos there"),
        (["{tree}/a.png", "--output", "{tree}"], "is one of the photos to restore"),
        (["{tree}/a.png", "--output", "{tree}/notes.txt"], "a file stands where the output folder"),
        (["{tree}/a.png", "--output", "{tree}/notes.txt/out"], "the folder cannot be made"),
        (["{tree}", "--output", "{tree}"], "is the folder of the photos itself"),
        (["{tree}/a.png", "{tree}/../other/a.png"], "would both become"),
        (["{tree}/a.png", "--quality", "90"], "PNG loses nothing"),
        (["{tree}/a.png", "--quality", "0", "--format", "jpg"], "give 1 to 100"),
        (["{tree}/a.png", "--max-megapixels", "0"], "--max-megapixels is 0"),
        (["{tree}/a.png", "--precision", "fp16", "--device", "cpu"], "fp16 needs CUDA"),
        (["{tree}/a.png", "--tile", "64"], "must be at least 96"),
        (["{tree}/a.png", "--overlap", "6"], "multiple of 4"),
        (["{tree}/a.png", "--scale", "2"], "is for scale 1, --scale is 2"),
        (["{tree}/a.png", "--model", "small_x1"], "both name weights"),
        ([], "give photos or folders"),
    ],
)
def test_mistakes_in_arguments_are_one_line_and_nothing_is_written(tree, tmp_path, arguments, said):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes((tree / "a.png").read_bytes())
    before = files(tmp_path)
    given = [argument.format(tree=tree) for argument in arguments]
    with pytest.raises(UserError) as error:
        run("--output", tmp_path / "out", "--weights", QE, *given)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert files(tmp_path) == before


def test_weights_by_name(shelf, tree, tmp_path, capsys):
    assert run("--list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "small_x1  rrdbnet   x1  experiment small_x1",
        "small_x2  rrdbnet   x2  Doubles photos",
    ]
    assert run(tree / "a.jpg", "--output", tmp_path / "named", "--model", "small_x2") == 0
    assert run(tree / "a.jpg", "--output", tmp_path / "scaled", "--scale", "2") == 0
    assert (tmp_path / "named/a.png").read_bytes() == (tmp_path / "scaled/a.png").read_bytes()
    with pytest.raises(UserError, match=r"small_x3: no such weights; there are small_x1, small_x2"):
        run(tree / "a.jpg", "--output", tmp_path / "out", "--model", "small_x3")
    with pytest.raises(UserError, match=r"give --model NAME.*there are small_x1, small_x2"):
        run(tree / "a.jpg", "--output", tmp_path / "out")
    (shelf / "small_x1.safetensors").unlink()
    assert run(tree / "a.jpg", "--output", tmp_path / "only", "--overwrite") == 0


def test_the_default_of_a_scale_restores_where_no_network_is_named(shelf, tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(choose, "DEFAULTS", {2: "small_x2", 1: "small_x1"})
    for arguments, name in [([], "small_x2"), (["--scale", "1"], "small_x1"), (["--scale", "2"], "small_x2")]:
        assert run(tree / "a.jpg", "--output", tmp_path / "out", "--overwrite", *arguments) == 0
        assert f"the default: {name} " in capsys.readouterr().err


def test_the_defaults_that_ship_are_there_and_of_their_scale():
    there = {card.name: card.scale for card in weights_by_name.cards()}
    assert {there[name]: name for name in weights_by_name.DEFAULTS.values()} == weights_by_name.DEFAULTS


def test_a_bare_name_resolves_and_any_other_path_stays(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert weights_by_name.resolve(Path("small_x2")) == shelf / "small_x2.safetensors"
    Path("small_x1").write_bytes(b"a file of this name")
    for path in (Path("small_x1"), Path("a/small_x2"), Path("small_x2.pth"), tmp_path / "none"):
        assert weights_by_name.resolve(path) == path
    with pytest.raises(UserError, match=r"nothing: no weights of this name .* there are small_x1, small_x2"):
        weights_by_name.resolve(Path("nothing"))


def test_options_files_name_the_network(shelf, tree, tmp_path):
    training, evaluation = tmp_path / "train.yml", tmp_path / "eval.yml"
    training.write_text("name: x\ngenerator: {type: rrdbnet, scale: 2, num_feat: 4, num_block: 1, num_grow_ch: 2, "
                        "pixel_unshuffle: false}\n")  # fmt: skip
    weights = shelf / "small_x2.safetensors"
    evaluation.write_text(
        "name: e\nscale: 2\nmodels:\n- {name: Bicubic, generator: {type: bicubic, scale: 2}}\n"
        f"- {{name: Ours, weights: {weights}}}\ndatasets:\n- {{name: d, hr: photos, compressions: [jpeg10]}}\n"
    )
    run(tree / "a.jpg", "--output", tmp_path / "0", "--weights", weights)
    expected = (tmp_path / "0/a.png").read_bytes()
    run(tree / "a.jpg", "--output", tmp_path / "1", "--options", training, "--weights", "small_x2")
    run(tree / "a.jpg", "--output", tmp_path / "2", "--options", evaluation, "--model", "Ours")
    assert (tmp_path / "1/a.png").read_bytes() == (tmp_path / "2/a.png").read_bytes() == expected
    run(tree / "a.jpg", "--output", tmp_path / "3", "--options", evaluation, "--model", "Bicubic")
    assert read_image(tmp_path / "3/a.png").shape == (48, 62, 3)
    for file, more, said in (
        (training, [], "names no weights"),
        (training, ["--model", "Ours"], "has one network"),
        (evaluation, [], "Bicubic, Ours"),
        (evaluation, ["--model", "ours"], "Bicubic, Ours"),
    ):
        with pytest.raises(UserError, match=said):
            run(tree / "a.jpg", "--output", tmp_path / "4", "--options", file, *more)
    (tmp_path / "other.yml").write_text("name: x\n")
    with pytest.raises(UserError, match="neither `generator` nor `models`"):
        run(tree / "a.jpg", "--output", tmp_path / "4", "--options", tmp_path / "other.yml")


def test_tiles_of_a_network_that_looks_at_the_whole_are_noted(tree, tmp_path, photos, capsys):
    sizes = {"num_feat": 16, "arm_groups": 1, "rem_groups": 1, "blocks": 1, "steps": 1}
    network = build_generator({"type": "cisr_psi", "scale": 2, **sizes})
    (tmp_path / "cisr_psi.safetensors").write_bytes(export_weights(network, {}))
    write_png(tmp_path / "wide.png", photos["coffee"][:40, :140])
    arguments = tmp_path / "wide.png", tree / "a.jpg", "--output", tmp_path / "out", "--tile", 96
    assert run(*arguments, "--weights", tmp_path / "cisr_psi.safetensors") == 0
    notes = capsys.readouterr().err.splitlines()
    assert notes == [
        f"note: {tmp_path}/wide.png: restored in 2 tiles by a network that looks at the whole image: seams may show"
    ]


def test_ctrl_c_leaves_whole_files_only_and_the_run_goes_on(tmp_path, photos):
    source, out = tmp_path / "in", tmp_path / "out"
    for n in range(20):
        write_png(source / f"{n:02}.png", photos["coffee"])
    command = [sys.executable, "test.py", "restore", source, "--output", out, "--weights", X2, "--device", "cpu"]
    started = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=60)
    assert started.returncode == 130 and err.strip().splitlines()[-1] == "interrupted"
    assert 0 < len(files(out)) < 20
    assert all(name.endswith(".png") and not name.startswith(".") for name in files(out))
    for path in out.iterdir():
        Image.open(io.BytesIO(path.read_bytes())).load()
    for path in sorted(source.iterdir())[len(files(out)) + 1 :]:
        path.unlink()
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert run(source, "--output", out, "--weights", X2) == 0
    assert len(files(out)) == len(files(source)) == len(before) + 1
    assert all(out.joinpath(name).stat().st_mtime_ns == then for name, then in before.items())


def test_what_stands_behind_two_dashes_is_photos(tmp_path, photos, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-a.png", "--b.png"):
        write_png(Path(name), photos["coffee"][:8, :8])
    arguments = parse(["--output", "out", "--weights", str(QE), "--", "-a.png", "--b.png"])
    assert main(arguments) == 0 and files(Path("out")) == ["--b.png", "-a.png"]
    assert parse(["a.png", "--output", "out", "b.png"]).inputs == ["a.png", "b.png"]


@pytest.mark.parametrize("refusing", ["utils.files._new_temporary", "os.fsync"])
def test_an_output_that_cannot_be_written_is_known_before_any_work(tree, tmp_path, monkeypatch, refusing):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(refusing, refuse)
    monkeypatch.setattr(Restorer, "__call__", lambda *_: pytest.fail("a photo was restored"))
    with pytest.raises(UserError, match=r"out: cannot be written: No space left on device; give another --output"):
        run(tree, "--output", tmp_path / "out", "--weights", QE)
    assert files(tmp_path / "out") == []


def test_a_disk_that_fills_up_is_noticed_before_each_photo(tree, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda _: argparse.Namespace(free=10))
    monkeypatch.setattr(Restorer, "__call__", lambda *_: pytest.fail("a photo was restored"))
    assert run(tree / "a.jpg", "--output", tmp_path / "out", "--weights", QE) == 1
    assert "a.png: cannot be written: 10 bytes are free" in capsys.readouterr().err


def test_what_was_passed_over_and_what_was_left_out_is_said(tree, tmp_path, photos, capsys, monkeypatch):
    for name in ("b.jp2", "c.jp2"):
        (tree / name).write_bytes(b"x")
    (tree / "closed\x1b[31m").mkdir()
    scandir = os.scandir

    def refusing(path):
        if not isinstance(path, int) and "closed" in Path(path).name:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    grey = Image.fromarray(photos["coffee"][:8, :8, 1])
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey.save(tree / "grey.png", icc_profile=srgb[:16] + b"GRAY" + srgb[20:])
    assert run(tree, "--output", tmp_path / "out", "--weights", QE, "--format", "webp") == 1
    said = capsys.readouterr()
    assert said.out.startswith("restored 4, failed 1; in ")
    assert "passed over: 2 .jp2: not read here, convert them; 1 files that are no photos\n" in said.err
    assert "failed: " in said.err and "closed\\x1b[31m: the folder cannot be read (Permission denied)" in said.err
    assert f"note: {tree}/grey.png: without its colour profile, which is for grey" in said.err
    assert "\x1b" not in said.err


def test_self_ensemble_and_another_format(tmp_path, photos):
    write_png(tmp_path / "a.png", photos["coffee"][:20, :33])
    for folder, more in (("once", ()), ("eight", ["--self-ensemble"])):
        assert run(tmp_path / "a.png", "--output", tmp_path / folder, "--weights", QE, "--format", "webp", *more) == 0
    assert (tmp_path / "once/a.webp").read_bytes() != (tmp_path / "eight/a.webp").read_bytes()
