"""What an unfolded network gives step by step, against the network and the metrics themselves."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.soak import CISR_PSI
from data.codecs import compress
from data.resize import imresize, modcrop
from evaluation.figures.unfolding_figure import LEAST_SPAN, draw, plot
from evaluation.options import EvaluationOptions
from evaluation.unfolding import StepScore, check_unfolding, write_unfolding
from inference.whole_image import restore
from metrics.psnr_ssim import psnr_y
from models import build_generator
from models.weight_files import export_weights
from utils.errors import UserError
from utils.images import decode_image, read_image, write_png
from utils.options import OptionsError, validate

BICUBIC = {"name": "Bicubic", "generator": {"type": "bicubic", "scale": 2}}


def options(folder, models, hr, compressions=("none", "jpeg10"), **more):
    return validate(
        {
            "name": "run",
            "results": str(folder),
            "scale": 2,
            "device": "cpu",
            "unfolding_steps": True,
            "models": models,
            "datasets": [{"name": "set", "hr": str(hr), "compressions": list(compressions)}],
            **more,
        },
        EvaluationOptions,
        "test",
    )


@pytest.fixture(scope="module")
def hr_folder(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hr")
    for name in ("coffee", "chelsea"):
        write_png(folder / f"{name}.png", photos[name][20:61, 30:78])
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(1)
    generator = build_generator(CISR_PSI)
    generator.start_as_interpolation()  # ŷ and x̂ are images, and change from step to step
    path = tmp_path_factory.mktemp("weights") / "psi.safetensors"
    path.write_bytes(export_weights(generator, {}))
    return path


def test_images_and_figures_of_every_step(hr_folder, weights, tmp_path):
    run = options(tmp_path, [BICUBIC, {"name": "PSI", "weights": str(weights)}], hr_folder)
    check_unfolding(run)
    assert write_unfolding(run) == ["unfolding.csv", "unfolding.png", "unfolding.pdf", "unfolding/"]
    generator = build_generator({**CISR_PSI, "weights": weights}).eval()
    written = {path.relative_to(tmp_path / "run/unfolding") for path in (tmp_path / "run/unfolding").rglob("*.png")}
    assert len(written) == 2 * 2 * 3 * 2  # images × compressions × steps × (ŷ, x̂)
    with (tmp_path / "run/unfolding.csv").open() as file:
        rows = {(row["compression"], int(row["step"])): row for row in csv.DictReader(file)}
    assert {row["model"] for row in rows.values()} == {"PSI"} and {key[1] for key in rows} == {0, 1, 2, 3}
    for compression in ("none", "jpeg10"):
        folder = tmp_path / "run/unfolding/PSI/set" / compression
        means = []
        for name in ("coffee", "chelsea"):
            hr = modcrop(read_image(hr_folder / f"{name}.png"), 2)
            clean = imresize(hr, 1 / 2)
            lr = compress(clean, compression)
            np.testing.assert_array_equal(read_image(folder / f"{name}_step3_sr.png"), restore(generator, lr))
            means.append(
                [
                    (
                        psnr_y(read_image(folder / f"{name}_step{step}_sr.png"), hr, 2),
                        psnr_y(read_image(folder / f"{name}_step{step}_restored_lr.png"), clean, 1),
                    )
                    for step in (1, 2, 3)
                ]
            )
        expected = np.mean(means, axis=0)
        found = [[float(rows[compression, s][f"psnr_y_{what}"]) for what in ("sr", "restored_lr")] for s in (1, 2, 3)]
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert rows[compression, 1]["images"] == "2"
    # Step 0: the input itself and its interpolation.
    assert rows["none", 0]["psnr_y_restored_lr"] == "inf"
    assert 20 < float(rows["jpeg10", 0]["psnr_y_sr"]) < float(rows["none", 0]["psnr_y_sr"])
    assert decode_image((tmp_path / "run/unfolding.png").read_bytes(), "figure").std() > 10
    assert (tmp_path / "run/unfolding.pdf").read_bytes().startswith(b"%PDF")


def test_without_images_only_the_figures_are_written(hr_folder, weights, tmp_path):
    models = [{"name": "PSI", "weights": str(weights)}]
    run = options(tmp_path, models, hr_folder, compressions=["jpeg10"], save_images=False)
    assert write_unfolding(run) == ["unfolding.csv", "unfolding.png", "unfolding.pdf"]
    assert not (tmp_path / "run/unfolding").exists()


def test_models_that_are_not_unfolded_are_an_error_and_missing_ones_a_line(hr_folder, tmp_path, capsys):
    cisrnet = {"name": "CISRNet", "generator": {"type": "cisrnet", "scale": 2}}
    with pytest.raises(UserError, match=r"none of the models \(Bicubic, CISRNet\) is unfolded"):
        check_unfolding(options(tmp_path, [BICUBIC, cisrnet], hr_folder))
    check_unfolding(options(tmp_path, [BICUBIC], hr_folder, unfolding_steps=False))
    missing = options(tmp_path, [BICUBIC, {"name": "PSI", "weights": str(tmp_path / "psi.pth")}], hr_folder)
    check_unfolding(missing)
    assert write_unfolding(missing) == [] and not (tmp_path / "run").exists()
    assert "psi.pth is not there" in capsys.readouterr().err


def scores(sets=("A",), models=("PSI",)):
    return [
        StepScore(model, dataset, compression, step, 3, base + 0.01 * step, base + 5 - 0.01 * step)
        for model in models
        for dataset in sets
        for base, compression in [(28.0, "jpeg10"), (29.0, "jpeg50"), (28.5, "webp20")]
        for step in range(4)
    ]


def test_the_figure_has_a_line_per_compression_and_labels(hr_folder, tmp_path):
    run = options(tmp_path, [BICUBIC], hr_folder)
    sr, restored = plot(scores(), run).axes
    assert "dB" in sr.get_ylabel() and "dB" in restored.get_ylabel() and "step" in restored.get_xlabel()
    assert sr.get_title() == "PSI\nA, ×2"
    assert [line.get_label() for line in sr.lines] == ["jpeg10", "jpeg50", "webp20"]
    assert list(sr.lines[0].get_xdata()) == [0, 1, 2, 3]
    np.testing.assert_allclose(sr.lines[0].get_ydata(), [28, 28.01, 28.02, 28.03])
    np.testing.assert_allclose(restored.lines[2].get_ydata(), [33.5, 33.49, 33.48, 33.47])
    assert len({line.get_color() for line in sr.lines}) == 3
    flat = [replace(score, psnr_y_sr=30 + score.step / 1000) for score in scores()]
    low, high = plot(flat, run).axes[0].get_ylim()
    assert high - low == pytest.approx(LEAST_SPAN)


@pytest.mark.parametrize(("sets", "models", "panels"), [("AB", ["PSI"], 4), ("ABC", ["PSI", "a" * 60], 12)])
def test_several_sets_and_models_are_small_multiples(sets, models, panels, hr_folder, tmp_path):
    run = options(tmp_path, [BICUBIC], hr_folder)
    assert len(plot(scores(sets, models), run).axes) == panels
    figure = decode_image(draw(scores(sets, models), run)["png"], "figure")
    assert (figure[:, :4] == 255).all() and (figure[:, -4:] == 255).all()  # nothing is cut off at the sides


def test_the_key_is_refused_without_sets(tmp_path, hr_folder):
    with pytest.raises(OptionsError, match="datasets"):
        options(tmp_path, [BICUBIC], hr_folder, datasets=[])
