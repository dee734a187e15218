"""Evaluations by SubjectiveQE-ESRGAN's protocol: of what the network gave, not of the image that is saved."""

import json

import numpy as np
import pytest
import torch

from data.evaluation_sets import all_items, load
from evaluation.evaluate import evaluate
from evaluation.options import EvaluationOptions
from evaluation.published import PUBLISHED, SUBJECTIVE_QE
from evaluation.tables.build import make_tables
from evaluation.tables.published_columns import quoted
from inference.whole_image import restore_unrounded
from metrics.psnr_ssim import MetricError, Unrounded, psnr_rgb, psnr_y, ssim_rgb
from models import build_generator
from models.weight_files import export_weights
from utils.images import read_image, write_png
from utils.options import OptionsError, validate

ARCNN = {"type": "arcnn", "scale": 1, "channels": 3, "num_feat": [4, 3, 2]}
METRICS = ["psnr_rgb", "psnr_y", "ssim_y", "ssim_rgb", "psnr_b"]


@pytest.fixture
def network():
    """Its output leaves [0, 1] at both ends."""
    torch.manual_seed(0)
    arcnn = build_generator(ARCNN)
    with torch.no_grad():
        arcnn.reconstruct.weight.mul_(6)
    return arcnn


@pytest.fixture
def data(network, photos, tmp_path):
    """Options as plain data, on photographs whose sides are no multiples of 8."""
    (tmp_path / "arcnn.safetensors").write_bytes(export_weights(network, {}))
    (tmp_path / "hr").mkdir()
    for name, photo in photos.items():
        write_png(tmp_path / "hr" / f"{name}.png", photo[:61, :79])
    return {
        "name": "run",
        "results": str(tmp_path / "results"),
        "scale": 1,
        "metrics": METRICS,
        "models": [
            {"name": "AR-CNN", "weights": str(tmp_path / "arcnn.safetensors")},
            {"name": "Copy", "program": {"command": "cp {input} {output}"}},
        ],
        "datasets": [{"name": "photos", "hr": str(tmp_path / "hr"), "compressions": ["jpeg10"]}],
        "device": "cpu",
    }


def options(data, **values):
    return validate({**data, **values}, EvaluationOptions, "test")


def by_place(evaluation):
    return {
        (model, item.image): evaluation.scores(record)
        for item, by_model in evaluation.records.items()
        for model, record in by_model.items()
    }


def kinds(given):
    lines = (given.folder / "scores" / "rank0.jsonl").read_text().splitlines()
    return [list(json.loads(line)["scores"]) for line in lines]


def test_output_is_scored_unrounded_unclamped_and_cropped(data, network):
    of_images, as_released = options(data), options(data, scored="subjective_qe", name="released")
    rounded, scores = by_place(evaluate(of_images)), by_place(evaluate(as_released))
    largest = 0.0
    for item in all_items(as_released.datasets, 1):
        pair = load(item, 1)
        output = 255 * restore_unrounded(network, pair.lr).permute(1, 2, 0).double().numpy()
        assert output.min() < -5
        largest = max(largest, output.max())
        inside = slice(0, 56), slice(0, 72)
        error = np.square(output[inside] - pair.hr[inside]).mean()
        found = scores["AR-CNN", item.image]
        assert found["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-6)
        assert found["psnr_rgb"] < rounded["AR-CNN", item.image]["psnr_rgb"]
        floats = Unrounded(output[inside].astype(np.float32))
        assert found["ssim_rgb"] == pytest.approx(ssim_rgb(floats, pair.hr[inside]), abs=1e-6)
        # A program's result is 8-bit: cropped, and no more.
        assert scores["Copy", item.image]["psnr_y"] == psnr_y(pair.lr[inside], pair.hr[inside], 0)
        # The pictures are the same as ever.
        written = [read_image(run.folder / f"images/AR-CNN/photos/jpeg10/{item.image}.png") for run in
                   (of_images, as_released)]  # fmt: skip
        assert np.array_equal(*written) and np.array_equal(written[0], Unrounded(output.astype(np.float32)).rounded())
    assert largest > 260
    captions = [" ".join(make_tables(evaluate(run), run).main[0].caption) for run in (of_images, as_released)]
    assert "8-bit rounded and clamped" in captions[0] and "multiples of 8" not in captions[0]
    assert "neither rounded nor clamped" in captions[1] and "cropped to multiples of 8 pixels" in captions[1]


def test_the_log_keeps_both_kinds_of_figures_apart(data):
    data["models"] = data["models"][:1]
    first = by_place(evaluate(options(data)))
    y = {"psnr_y": "psnr_y matlab 0", "ssim_y": "ssim_y matlab 0"}
    assert kinds(options(data)) == [[y.get(name, name) for name in METRICS]] * len(first)
    other = by_place(evaluate(options(data, scored="subjective_qe")))
    assert all(other[place]["psnr_rgb"] != scores["psnr_rgb"] for place, scores in first.items())
    [*_, newest] = kinds(options(data))
    assert newest[len(METRICS) :] == [f"{y.get(name, name)} subjective_qe" for name in METRICS]
    lines = len(kinds(options(data)))
    assert by_place(evaluate(options(data))) == first
    assert by_place(evaluate(options(data, scored="subjective_qe"))) == other
    assert len(kinds(options(data))) == lines  # both are taken over


def test_only_its_own_published_figures_stand_beside_it(data):
    [div2k] = validate({**data, "metrics": ["lpips_unit_range", "psnr_rgb"], "datasets": [
        {"name": "DIV2K_valid", "hr": "hr", "compressions": ["hevc37", "jpeg10"]}
    ]}, EvaluationOptions, "test").datasets  # fmt: skip
    others = {row.method for row in PUBLISHED if row.source != SUBJECTIVE_QE and row.dataset == "DIV2K_valid"
              and row.convention == "rgb" and row.scale == 1 and row.compression == "jpeg10"}  # fmt: skip
    assert others
    for scored, counts in (("image", True), ("subjective_qe", False)):
        given = options(data, scored=scored)
        esrgan = given.models[0].model_copy(update={"published": "ESRGAN"})
        assert quoted(given, esrgan, "lpips_unit_range", div2k, "hevc37").value == 0.08
        for method in others:
            model = given.models[0].model_copy(update={"published": method})
            assert (quoted(given, model, "psnr_rgb", div2k, "jpeg10") is not None) == counts


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"metrics": ["psnr_rgb", "niqe"]}, "niqe"),
        ({"datasets": [{"name": "photos", "hr": "hr", "grey": "bt601_full"}]}, "a grey set"),
        ({"unfolding_steps": True}, "unfolding_steps"),
    ],
)
def test_what_is_measured_of_images_alone_is_refused(data, values, named):
    with pytest.raises(OptionsError, match=f"scored: subjective_qe does not go with {named}; leave one"):
        options(data, scored="subjective_qe", **values)
    options(data, **values)


def test_sides_that_the_crop_leaves_too_small_are_refused_before_anything(data, photos, tmp_path):
    for path in (tmp_path / "hr").iterdir():
        path.unlink()
    write_png(tmp_path / "hr" / "small.png", next(iter(photos.values()))[:15, :40])
    with pytest.raises(MetricError, match=r"small\.png: 40×15 pixels, cropped to multiples of 8, and .* need 11 a"):
        evaluate(options(data, scored="subjective_qe"))
    assert not (tmp_path / "results" / "run" / "images").exists()


def test_floats_are_measured_only_where_they_are_said_to_be_unrounded():
    original = np.full((16, 16, 3), 200, np.uint8)
    floats = np.full((16, 16, 3), 210.5, np.float32)
    with pytest.raises(MetricError, match="metrics take uint8 images"):
        psnr_rgb(floats, original)
    before = floats.copy()
    assert psnr_rgb(Unrounded(floats), original) == pytest.approx(20 * np.log10(255 / 10.5), abs=1e-9)
    assert np.array_equal(floats, before)
    assert (Unrounded(np.float32([[[-3, 0.49, 0.5]], [[254.5, 255.4, 300]]])).rounded() ==
            [[[0, 0, 1]], [[255, 255, 255]]]).all()  # fmt: skip
