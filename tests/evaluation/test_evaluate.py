"""Evaluations that are stopped and go on, that processes share, and that change under way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import evaluation.evaluate as evaluate_module
import evaluation.rows as rows_module
from evaluation.evaluate import evaluate
from evaluation.options import EvaluationOptions
from evaluation.tables.averages import images
from losses import LossWeightsError, backbones
from metrics.lpips import Lpips
from metrics.psnr_ssim import MetricError
from models import build_generator
from utils.errors import UserError
from utils.files import locked
from utils.images import read_image, write_png
from utils.options import validate

ROOT = Path(__file__).parents[2]
CISRNET = {"type": "cisrnet", "scale": 2, "num_feat": 4, "reduction": 2, "coarse_groups": 1, "coarse_blocks": 1,
           "fine_groups": 0}  # fmt: skip


def weights(path, seed=0):
    torch.manual_seed(seed)
    torch.save(build_generator(CISRNET).state_dict(), path)
    return path


@pytest.fixture
def data(photo_folder, tmp_path):
    """Options as plain data: two models, three photographs, two compressions."""
    file = weights(tmp_path / "weights.pth")
    return {
        "name": "run",
        "results": str(tmp_path / "results"),
        "scale": 2,
        "models": [
            {"name": "Bicubic", "generator": {"type": "bicubic", "scale": 2}},
            {"name": "CISRNet", "generator": {**CISRNET, "weights": str(file)}},
        ],
        "datasets": [{"name": "photos", "hr": str(photo_folder), "compressions": ["jpeg10", "webp20"]}],
        "device": "cpu",
    }


def options(data, **values):
    return validate({**data, **values}, EvaluationOptions, "test")


def figures(evaluation):
    """Everything but the seconds."""
    return images(evaluation).drop(columns="seconds")


@pytest.fixture
def restored(monkeypatch):
    """The number of images that networks have restored so far."""
    count, restore = [0], rows_module.restore_unrounded

    def counting(*arguments, **known):
        count[0] += 1
        return restore(*arguments, **known)

    monkeypatch.setattr(rows_module, "restore_unrounded", counting)
    return count


def test_a_second_run_takes_over_all_and_changes_nothing(data, restored):
    first = figures(evaluate(options(data)))
    assert restored == [12] and len(first) == 12
    pd.testing.assert_frame_equal(figures(evaluate(options(data))), first)
    assert restored == [12]


def test_an_error_keeps_what_was_made(data, restored, monkeypatch):
    write = evaluate_module.write_png

    def full(path, image):
        if restored[0] > 6:
            raise UserError("no space left")
        write(path, image)

    monkeypatch.setattr(evaluate_module, "write_png", full)
    with pytest.raises(UserError, match="no space left"):
        evaluate(options(data))
    done = restored[0]
    monkeypatch.setattr(evaluate_module, "write_png", write)
    evaluation = evaluate(options(data))
    assert len(images(evaluation)) == 12 and restored[0] - done < 12
    straight = figures(evaluate(options(data, name="straight")))
    pd.testing.assert_frame_equal(figures(evaluation), straight)


def test_changed_weights_images_and_options_are_noticed(data, restored, tmp_path, photos, capsys):
    hr = tmp_path / "hr"
    for name, photo in photos.items():
        write_png(hr / f"{name}.png", photo)
    data["datasets"][0]["hr"] = str(hr)
    before = figures(evaluate(options(data)))

    def remade(**values):
        count = restored[0]
        evaluate(options(data, **values))
        return restored[0] - count

    weights(tmp_path / "weights.pth", seed=1)
    assert remade() == 6  # of the one network, at both compressions
    assert "6 images are made anew" in capsys.readouterr().err
    assert not figures(evaluate(options(data))).equals(before)
    write_png(hr / "coffee.png", photos["coffee"][:, ::-1])
    assert remade() == 4
    # The pictures are those of weights in between: made anew, although the scores are known.
    weights(tmp_path / "weights.pth", seed=0)
    assert remade() == 6
    weights(tmp_path / "weights.pth", seed=1)
    assert remade() == 6 and remade() == 0
    weights(tmp_path / "weights.pth", seed=0)
    assert remade(save_images=False) == 0


def test_other_metrics_are_taken_of_the_pictures_that_are_there(data, restored):
    other = {"border": 4, "convention": "edsr", "metrics": ["ssim_y", "psnr_rgb"]}
    straight = figures(evaluate(options(data, name="straight", **other)))
    first = figures(evaluate(options(data)))
    count = restored[0]
    pd.testing.assert_frame_equal(figures(evaluate(options(data, **other))), straight)
    pd.testing.assert_frame_equal(figures(evaluate(options(data))), first)
    assert restored[0] == count
    evaluate(options(data, name="unsaved", save_images=False))
    evaluate(options(data, name="unsaved", save_images=False, **other))
    assert restored[0] == count + 24  # nothing is there to be scored


def test_a_picture_that_is_missing_or_changed_is_made_again(data, restored):
    given = options(data)
    evaluate(given)
    paths = sorted((given.folder / "images").rglob("*.png"))
    assert len(paths) == 12
    expected = read_image(paths[0])
    paths[0].unlink()
    paths[1].write_bytes(b"")
    evaluate(given)
    assert restored == [14] and (read_image(paths[0]) == expected).all() and paths[1].stat().st_size
    paths[0].unlink()
    evaluate(options(data, save_images=False))
    assert restored == [14] and not paths[0].exists()


def write_options(data, path, **values):
    path.write_text(yaml.safe_dump({**data, **values}))
    return path


def start(path, *launcher, **environment):
    return subprocess.Popen(
        [sys.executable, *launcher, "test.py", "--options", str(path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_once_it_goes_on(data, tmp_path):
    """SIGKILL in the middle, the last line cut short as well; then to the end, with the figures of a straight run."""
    many = [f"jpeg{quality}" for quality in range(5, 95, 5)]
    data["datasets"][0]["compressions"] = many
    path = write_options(data, tmp_path / "options.yml")
    log = tmp_path / "results/run/scores/rank0.jsonl"
    process = start(path)
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_bytes().count(b"\n") >= 9) and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    content = log.read_bytes()
    kept = content.count(b"\n")
    assert 9 <= kept < 6 * len(many)
    log.write_bytes(content[:-40])
    out, errors = start(path).communicate(timeout=200)
    assert f"{kept - 1} of {6 * len(many)} images are restored and scored already" in errors, errors
    found = pd.read_csv(tmp_path / "results/run/images.csv").drop(columns="seconds")
    straight = figures(evaluate(options(data, name="straight", save_images=False)))
    pd.testing.assert_frame_equal(found, straight, atol=1e-5)
    assert len(list((tmp_path / "results/run/images").rglob("*.png"))) == 6 * len(many)
    assert "interrupted" not in errors and "average.csv" in out


def test_two_processes_share_the_images_and_write_one_table(data, tmp_path):
    path = write_options(data, tmp_path / "options.yml", name="two")
    process = start(path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert out.count("written to") == out.count("two/report.html") == 1
    lines = [len(file.read_text().splitlines()) for file in sorted((tmp_path / "results/two/scores").iterdir())]
    assert lines == [6, 6]
    found = pd.read_csv(tmp_path / "results/two/images.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(found, figures(evaluate(options(data, name="one"))), atol=1e-5)
    # One process takes over what two have made.
    again = evaluate(options(data, name="two"))
    assert len(images(again)) == 12 and len(list((tmp_path / "results/two/scores").iterdir())) == 2


def test_two_evaluations_in_one_folder_are_refused(data):
    given = options(data)
    with locked(given.folder / ".lock", wait=False), pytest.raises(UserError, match="in use by another process"):
        evaluate(given)


def test_without_alexnets_weights_the_rest_of_the_table_is_made(data, restored, monkeypatch, capsys, tmp_path):
    def nowhere(network, given=None):
        raise LossWeightsError(f"weights of {network} are not here: get them and put them into checkpoints/")

    given = options(data, metrics=["psnr_y", "lpips", "lpips_unit_range"])
    monkeypatch.setattr(backbones, "find_weights", nowhere)
    evaluation = evaluate(given)
    errors = capsys.readouterr().err
    assert errors.count("LPIPS is left out: weights of alexnet") == 1 and "checkpoints/" in errors
    assert set(evaluation.kinds) == {"psnr_y"}
    with pytest.raises(LossWeightsError):  # asked for by name: no way round
        evaluate(options(data, metrics=["lpips"], lpips_weights=str(tmp_path / "none.pth")))
    # With weights at hand the column is filled.
    monkeypatch.undo()
    torch.manual_seed(0)
    features = backbones._without_weights("alexnet").to_empty(device="cpu")
    state = {f"features.{name}": torch.randn_like(tensor) * 0.05 for name, tensor in features.state_dict().items()}
    torch.save(state, tmp_path / "alexnet.pth")
    full = evaluate(
        options(data, metrics=["psnr_y", "lpips", "lpips_unit_range"], lpips_weights=str(tmp_path / "alexnet.pth"))
    )
    assert list(full.kinds) == ["psnr_y", "lpips", "lpips_unit_range"]
    record = next(by_model["CISRNet"] for item, by_model in full.records.items() if item.image == "chelsea")
    sr = read_image(tmp_path / "results/run/images/CISRNet/photos/jpeg10/chelsea.png")
    hr = read_image(Path(data["datasets"][0]["hr"]) / "chelsea.png")[: sr.shape[0], : sr.shape[1]]
    for name, range in (("lpips", "standard"), ("lpips_unit_range", "unit_range")):
        expected = Lpips(range=range, weights=tmp_path / "alexnet.pth")(sr, hr)
        assert full.scores(record)[name] == pytest.approx(expected, abs=1e-6)


def test_images_too_small_to_score_are_named_before_anything_is_done(data, restored, photos, tmp_path):
    write_png(tmp_path / "hr" / "large.png", photos["coffee"])
    write_png(tmp_path / "hr" / "small.png", photos["coffee"][:15, :40])
    data["datasets"][0]["hr"] = str(tmp_path / "hr")
    with pytest.raises(MetricError, match=r"small\.png: 40×14 pixels, and psnr_y, ssim_y need 15 a side \(border 2\)"):
        evaluate(options(data))
    assert restored == [0]
    evaluate(options(data, border=1))


def test_where_pictures_of_a_chain_go(data):
    data["datasets"][0]["compressions"] = ["jpeg40>webp30"]
    given = options(data)
    assert {item.compression for item in evaluate(given).records} == {"jpeg40>webp30"}
    assert len(list((given.folder / "images/Bicubic/photos/jpeg40+webp30").iterdir())) == 3
