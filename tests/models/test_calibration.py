"""models.calibration: interpolated over steps, written into weight files and read from them, refused if it is none."""

import json

import numpy as np
import pytest
import torch

from inference.weight_interpolation import interpolate
from models import WeightsError, build_generator, options_in_file
from models.calibration import Calibration, calibration_in
from models.weight_files import about, as_safetensors, export_weights

SMALL = {"type": "residual_unet", "widths": [8], "blocks": [1]}


def calibration(width=0.7):
    factors = np.random.default_rng(0).uniform(0, 2, (3, 2, 2, 8, 8)).astype(np.float32)
    return Calibration((2.0, 20.0, 60.0), factors, width)


@pytest.fixture
def file(tmp_path):
    network = build_generator(SMALL)
    network.calibration = calibration()
    path = tmp_path / "calibrated.safetensors"
    path.write_bytes(export_weights(network, {"experiment": "x"}))
    return path


def test_factors_are_interpolated_over_the_logarithm_of_the_step():
    given = calibration()
    np.testing.assert_array_equal(given.at(20.0), given.factors[1])
    np.testing.assert_allclose(given.at(40**0.5), (given.factors[0] + given.factors[1]) / 2, rtol=1e-5)
    for step, nearest in ((0.0, 0), (1.0, 0), (255.0, 2), (5000.0, 2)):
        np.testing.assert_allclose(given.at(step), given.factors[nearest], rtol=1e-5)


def test_a_weight_file_holds_it(file):
    read = build_generator(options_in_file(file)).calibration
    assert read.steps == calibration().steps and read.width == 0.7
    np.testing.assert_allclose(read.factors, calibration().factors, atol=5e-4)
    assert about(file)["experiment"] == "x"
    again = build_generator(options_in_file(file))
    assert export_weights(again, {"experiment": "x"}) == file.read_bytes()


def test_other_files_have_none(tmp_path):
    path = tmp_path / "plain.safetensors"
    path.write_bytes(export_weights(build_generator(SMALL), {}))
    assert calibration_in(path) is None and build_generator(options_in_file(path)).calibration is None
    torch.save(build_generator(SMALL).state_dict(), tmp_path / "plain.pth")
    assert calibration_in(tmp_path / "plain.pth") is None


def test_it_is_of_one_network_alone(file):
    networks = [build_generator(options_in_file(file)) for _ in range(2)]
    assert interpolate(networks, [0.5, 0.5]).calibration is None


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [2.0, 20.0]},
        {"steps": [20.0, 2.0, 60.0]},
        {"steps": [0.5, 2.0, 60.0]},
        {"steps": "many"},
        {"factors": [1.0] * 10},
        {"factors": [9.0] * 768},
        {"factors": [float("nan")] * 768},
        {"factors": [[1.0], 2.0]},
        {"width": 0},
        {"width": 1.5},
        {"width": None},
    ],
)
def test_what_is_none_is_refused_in_one_line(file, change, tmp_path):
    written = {**calibration().written()["calibration"], **change}
    network = build_generator(SMALL)
    said = {"calibration": written, "generator": json.loads(json.dumps(about(file)["generator"]))}
    path = tmp_path / "bad.safetensors"
    path.write_bytes(as_safetensors(network.state_dict(), said))
    with pytest.raises(WeightsError, match="its calibration cannot be used") as error:
        build_generator(options_in_file(path))
    assert len(str(error.value).splitlines()) == 1
    path.write_bytes(as_safetensors(network.state_dict(), {**said, "calibration": [1, 2]}))
    with pytest.raises(WeightsError, match="its calibration cannot be used"):
        calibration_in(path)
