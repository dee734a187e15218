"""Evaluations with rows of programs and of a network per quality, on grey and on resized images."""

import numpy as np
import pytest
import torch

from data.grey import to_grey
from evaluation.evaluate import evaluate
from evaluation.options import EvaluationOptions
from evaluation.report.page import make_page
from evaluation.tables.averages import averages
from evaluation.tables.build import make_tables, write_tables
from metrics.psnr_ssim import psnr_rgb, ssim_y
from models import WeightsError, build_generator, count_parameters
from models.weight_files import export_weights
from utils.errors import UserError
from utils.images import read_image
from utils.options import OptionsError, validate

INPUT = {"name": "Input", "generator": {"type": "bicubic", "scale": 1}}
SMALL = {"type": "arcnn", "scale": 1, "num_feat": [4, 3, 2]}


@pytest.fixture
def data(photo_folder, tmp_path):
    torch.manual_seed(0)
    (tmp_path / "q10.safetensors").write_bytes(export_weights(build_generator(SMALL), {}))
    return {
        "name": "run",
        "results": str(tmp_path / "results"),
        "scale": 1,
        "metrics": ["psnr_rgb", "psnr_y", "ssim_y", "ssim_rgb", "psnr_b"],
        "models": [
            INPUT,
            {"name": "Copy", "program": {"command": "cp {input} {output}"}},
            {"name": "Broken", "program": {"command": "false {input} {output}"}},
            {"name": "Missing", "program": {"command": "no-such-program {input} {output}"}},
            {"name": "Per quality", "generator": {**SMALL, "weights": str(tmp_path / "q{quality}.safetensors")}},
            {"name": "Later", "weights": str(tmp_path / "later.safetensors")},
        ],
        "datasets": [
            {"name": "grey", "hr": str(photo_folder), "grey": "bt601_limited", "compressions": ["jpeg10", "jpeg40"]},
            {"name": "small", "hr": str(photo_folder), "compressions": ["jpeg40>resize0.5>jpeg30:444"]},
        ],
        "device": "cpu",
    }


def options(data, **values):
    return validate({**data, **values}, EvaluationOptions, "test")


def test_each_row_says_what_it_can(data, capsys):
    given = options(data)
    evaluation = evaluate(given)
    assert set(evaluation.failed) == {"Broken", "Missing"}
    assert "status 1, on grey/" in evaluation.failed["Broken"]
    assert evaluation.costs["Later"] is None and evaluation.costs["Copy"].parameters is None
    counts = {}
    for item, by_model in evaluation.records.items():
        for name in by_model:
            counts[name, item.set_name] = counts.get((name, item.set_name), 0) + 1
    # The network for quality 10 has no other quality, and none of a chain's.
    assert counts == {("Input", "grey"): 6, ("Copy", "grey"): 6, ("Per quality", "grey"): 3, ("Input", "small"): 3,
                      ("Copy", "small"): 3}  # fmt: skip
    average = averages(evaluation, given)
    places = {
        name: set(average[(average["model"] == name) & (average["dataset"] == "grey")]["compression"])
        for name in ("Input", "Per quality")
    }
    assert places == {"Input": {"jpeg10", "jpeg40", "mean"}, "Per quality": {"jpeg10"}}
    assert all(records["Input"].scores == records["Copy"].scores for records in evaluation.records.values())
    text = write_tables(evaluation, given)
    assert "Broken failed: false: ended with status 1" in text and "Missing failed: no-such-program" in text
    rows = {line.split("  ")[0].strip(): line for line in text.splitlines()}
    assert "failed" in text and "not trained yet" in text and rows
    err = capsys.readouterr().err
    assert err.count("its row says so") == 3
    page = make_page(evaluation, given)
    assert "Broken failed" in page and "Per quality" in page
    # Again: nothing is restored, and the broken program is asked once more.
    again = evaluate(given)
    assert again.failed == evaluation.failed
    assert again.records == evaluation.records


def test_grey_sets_are_scored_on_what_they_hold(data, photos):
    given = options(data, models=[INPUT], datasets=data["datasets"][:1])
    evaluation = evaluate(given)
    for item, by_model in evaluation.records.items():
        scores = evaluation.scores(by_model["Input"])
        assert scores["psnr_rgb"] == pytest.approx(scores["psnr_y"], abs=1e-9)
        assert scores["ssim_rgb"] == pytest.approx(scores["ssim_y"], abs=1e-9)
        assert scores["psnr_b"] < scores["psnr_rgb"]
        hr = to_grey(photos[item.image], "bt601_limited", "x")
        sr = read_image(given.folder / "images" / "Input" / "grey" / item.compression / f"{item.image}.png")
        assert psnr_rgb(sr, hr) == scores["psnr_rgb"]
        assert ssim_y(sr, hr, 0, "grey") == scores["ssim_y"]
    caption = " ".join(make_tables(evaluation, given).main[0].caption)
    assert "grey: grey images (Y of BT.601, 16 to 235" in caption and "4:0:0" in caption and "convention" not in caption


def test_colours_that_a_network_adds_to_a_grey_image_are_taken_out(data, tmp_path):
    torch.manual_seed(1)
    rgb = build_generator({**SMALL, "channels": 3})
    (tmp_path / "rgb.safetensors").write_bytes(export_weights(rgb, {}))
    given = options(data, models=[{"name": "RGB", "weights": str(tmp_path / "rgb.safetensors")}],
                    datasets=data["datasets"][:1])  # fmt: skip
    evaluate(given)
    paths = list((given.folder / "images").rglob("*.png"))
    assert len(paths) == 6
    assert all((np.ptp(read_image(path), axis=2) == 0).all() for path in paths)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ({"name": "A"}, "give `generator`"),
        ({"name": "A", "weights": "rrdbnet_jpeg", "program": {"command": "cp {input} {output}"}}, "give `generator`"),
        ({"name": "A", "program": {"command": "cp {input}"}}, "must stand among"),
    ],
)
def test_rows_without_one_source_are_refused(data, model, why):
    with pytest.raises(OptionsError, match=why):
        options(data, models=[model])


def test_bd_needs_a_row_to_be_against(data):
    with pytest.raises(OptionsError, match="no model is called 'Output'"):
        options(data, bd={"against": "Output"})


def test_a_row_may_take_its_colour_from_a_network_at_scale_1(data, tmp_path, capsys):
    torch.manual_seed(0)
    colourist = build_generator({"type": "residual_unet", "widths": [8], "blocks": [1]})
    torch.nn.init.normal_(colourist.tail.weight, std=0.02)
    path = tmp_path / "colour.safetensors"
    path.write_bytes(export_weights(colourist, {}))
    enlarge = {"generator": {"type": "bicubic", "scale": 2}}
    rows = [{"name": "Own", **enlarge}, {"name": "Pair", **enlarge, "colour": str(path)}]
    sets = [{**data["datasets"][0], "grey": None, "compressions": ["jpeg10"]}]
    given = options(data, scale=2, models=rows, datasets=sets, metrics=["psnr_rgb"])
    evaluation = evaluate(given)
    assert all(records["Own"].scores != records["Pair"].scores for records in evaluation.records.values())
    assert evaluation.costs["Pair"].parameters == count_parameters(colourist) and evaluation.costs["Pair"].flops > 0
    assert evaluation.costs["Own"].parameters == evaluation.costs["Own"].flops == 0
    with pytest.raises(UserError, match=r"colour: .* is for scale 2, not 1"):
        enlarging = build_generator({"type": "vdsr", "scale": 2, "num_feat": 4, "layers": 3})
        path.write_bytes(export_weights(enlarging, {}))
        evaluate(given)
    path.unlink()
    with pytest.raises(WeightsError, match=r"colour\.safetensors"):
        evaluate(given)
    with pytest.raises(OptionsError, match="`colour` is for a network"):
        options(data, models=[{"name": "P", "program": {"command": "cp {input} {output}"}, "colour": str(path)}])


def test_consistency_at_a_larger_scale_needs_a_calibrated_network(data):
    model = {"name": "Enlarging", "generator": {"type": "bicubic", "scale": 2}, "consistency": True}
    with pytest.raises(UserError, match=r"'Enlarging': consistency at scale 2 needs a calibrated network; .*calibrate"):
        evaluate(options(data, scale=2, models=[model]))
