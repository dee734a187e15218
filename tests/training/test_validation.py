"""Validation while training: what is measured beside what, and which weights are the best."""

import re

import numpy as np
import pytest
import torch

from benchmarks.soak import differences, experiment, write_photos
from data.options import EvaluationSetOptions
from evaluation.metrics import psnr_rgb
from losses import LossWeightsError
from models import Bicubic
from training import validation
from training.check import check
from training.experiment import run_experiment
from training.options import RuntimeOptions, TrainOptions
from training.progress import _figures
from training.run_folder import RunFolder, read_checkpoint
from training.runtime import Runtime
from training.validation import Score, Validation, ValidationOptions, Validator
from utils.errors import UserError
from utils.images import write_png
from utils.options import load


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory):
    """A file with weights of AlexNet's shapes: random ones, as the real are too large to ship."""
    import torchvision

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save({f"features.{n}": t for n, t in torchvision.models.alexnet().features.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("validation") / "photos")


def validated(photos, scale, **options):
    sets = (EvaluationSetOptions(name="photos", hr=photos, compressions=("jpeg10",)),)
    runtime = Runtime(RuntimeOptions(device="cpu"))
    validator = Validator(sets, scale, ValidationOptions(**options), runtime)
    return validator(Bicubic(Bicubic.Options(scale=scale)))


def test_what_is_measured_depends_on_the_scale_and_on_what_ranks(photos, alexnet):
    lpips = {"rank_by": "lpips", "lpips_weights": alexnet}
    for scale, options, before, metrics in [
        (2, {}, "bicubic", ["psnr_y", "ssim_y"]),
        (2, {"rank_by": "psnr_rgb"}, "bicubic", ["psnr_y", "ssim_y", "psnr_rgb"]),
        (1, {}, "input", ["psnr_y", "ssim_y", "psnr_rgb"]),
        (1, lpips, "input", ["psnr_y", "ssim_y", "psnr_rgb", "lpips"]),
    ]:
        validation = validated(photos, scale, **options)
        (score,) = validation.scores.values()
        assert list(score.restored) == metrics and score.restored == score.before
        assert validation.before_name == before
        rank = validation.rank(options.get("rank_by", "psnr_y"))
        assert rank == (-score.restored["lpips"] if options == lpips else score.restored[metrics[-1 if options else 0]])


def test_rgb_psnr_is_taken_of_whole_images_in_rgb(photos):
    validation = validated(photos, 1)
    (score,) = validation.scores.values()
    before, restored, hr = validation.pictures["photos", "jpeg10"]
    assert (before == restored).all()
    one = photos.with_name("one")
    one.mkdir()
    (one / "a.png").write_bytes((photos / "a.png").read_bytes())
    (alone,) = validated(one, 1).scores.values()
    assert alone.restored["psnr_rgb"] == psnr_rgb(before, hr)
    assert alone.restored["psnr_rgb"] < alone.restored["psnr_y"] != score.restored["psnr_y"]


def test_the_mean_is_over_sets_and_compressions_and_higher_is_better():
    scores = {
        ("a", "x"): Score({"psnr_y": 30.0, "lpips": 0.1}, {}),
        ("b", "x"): Score({"psnr_y": 20.0, "lpips": 0.3}, {}),
    }
    validation = Validation(scores, {}, "input")
    assert validation.rank("psnr_y") == 25 and validation.rank("lpips") == pytest.approx(-0.2)


def test_figures_name_what_they_are():
    metrics = {"psnr_y": 30.0, "ssim_y": 0.9}
    assert _figures(metrics) == "30.000 dB / 0.9000"
    assert _figures({**metrics, "psnr_rgb": 28.5, "lpips": 0.125}) == "30.000 dB / 0.9000, RGB 28.500 dB, LPIPS 0.1250"


def train(options, resume, *overrides):
    assert run_experiment(load(options, TrainOptions, ["data.train.workers=0", *overrides]), resume) == 0


def test_the_lowest_lpips_is_the_best_and_another_ranking_begins_anew(photos, tmp_path, alexnet):
    lpips = {"every": 3, "rank_by": "lpips", "lpips_weights": str(alexnet)}
    keep = {"every": 3, "keep_best": 2, "keep": 9}
    options = experiment("adversarial", tmp_path / "a", photos, 12, validation=lpips, checkpoint=keep, ema=None)
    train(options, None, "stages.0.iterations=6")
    train(options, "auto")
    folder = RunFolder(options.parent / "runs" / "adversarial" / "stage0")
    found = re.findall(
        r"iteration (\d+): photos .*?LPIPS ([\d.]+) \(bicubic", (folder.folder / "train.log").read_text()
    )
    scores = {int(iteration): float(value) for iteration, value in found}
    assert list(scores) == [3, 6, 9, 12] and len(set(scores.values())) > 1
    best = sorted(scores, key=scores.get)[:2]
    ranking = read_checkpoint(folder.checkpoint(12))["ranking"]
    assert [iteration for _, iteration in ranking] == best
    assert [-score for score, _ in ranking] == pytest.approx([scores[iteration] for iteration in best], abs=1e-4)
    assert sorted(int(path.stem) for path in (folder.folder / "best").iterdir()) == sorted(best)
    newest = folder.folder / "best" / f"{best[0]:08d}.safetensors"
    assert folder.best.read_bytes() == newest.read_bytes()

    train(options, "auto", "stages.0.validation.rank_by=psnr_y", "stages.0.iterations=15")
    state = read_checkpoint(folder.checkpoint(15))
    assert [iteration for _, iteration in state["ranking"]] == [15] and state["ranking"][0][0] > 0


def test_lpips_without_weights_is_one_line_before_anything_slow(photos, tmp_path):
    lpips = {"rank_by": "lpips", "lpips_weights": str(tmp_path / "none.pth")}
    options = experiment("supervised", tmp_path / "a" / "b", photos, 2, validation=lpips)
    for run in (lambda options: run_experiment(options, None), check):
        with pytest.raises(LossWeightsError, match=r"none\.pth: no such file with weights of alexnet"):
            run(load(options, TrainOptions))
    assert not (tmp_path / "a" / "store").exists() and not (options.parent / "runs").exists()


def cut(path, photos):
    data = (photos / "b.png").read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path, _: write_png(path, np.zeros((1, 1, 3), np.uint8)), "too small for ×2"),
        (lambda path, _: write_png(path, np.zeros((8, 8, 3), np.uint8)), "11x11 is needed"),
        (cut, "damaged or cut short"),
    ],
)
def test_a_bad_image_is_named_before_anything_slow(photos, tmp_path, write, reason):
    folder = tmp_path / "validation"
    folder.mkdir()
    (folder / "a.png").write_bytes((photos / "a.png").read_bytes())
    write(folder / "x.png", photos)
    options = experiment("supervised", tmp_path / "a" / "b", photos, 2)
    for run in (lambda options: run_experiment(options, None), check):
        with pytest.raises(UserError, match=rf"x\.png.*{reason}"):
            run(load(options, TrainOptions, [f"data.validation.0.hr={folder}"]))
    assert not (tmp_path / "a" / "store").exists()


@pytest.mark.parametrize(("error", "every"), [(UserError("x.png: gone"), 100), (KeyboardInterrupt(), 4)])
def test_what_a_validation_meets_costs_no_iteration_and_no_byte(photos, tmp_path, monkeypatch, error, every):
    """An image that has become unreadable, between checkpoints; an end by force, with a checkpoint before it."""
    straight = experiment("supervised", tmp_path / "straight", photos, 6, checkpoint={"every": every})
    train(straight, None)
    options = experiment("supervised", tmp_path / "a", photos, 6, checkpoint={"every": every})
    with monkeypatch.context() as patch:

        def broken(*_):
            raise error

        patch.setattr(Validator, "check", lambda *_: None)  # it was sound when the training began
        patch.setattr(validation, "load", broken)
        with pytest.raises(type(error)):
            train(options, None)
    folder = RunFolder(options.parent / "runs" / "supervised" / "stage0")
    assert folder.iterations() == [4] and not folder.best.exists()
    train(options, "auto")
    assert differences(straight, options) == []
