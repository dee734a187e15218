"""The command that runs the trainings of options/gpu: their order, their options, what it says of them."""

from argparse import Namespace

import pytest
import skimage.data

from benchmarks.accept import gpu_options
from losses.backbones import LossWeightsError
from training.recipes.adversarial import AdversarialOptions
from utils.errors import UserError
from utils.images import read_image, write_png


@pytest.fixture
def photos(tmp_path):
    write_png(tmp_path / "hr" / "valid" / "a.png", skimage.data.astronaut()[:100, :200])
    return tmp_path / "hr"


def test_a_training_comes_after_the_one_whose_weights_it_starts_from_and_one_that_fails_is_a_row(
    photos, tmp_path, monkeypatch, capsys
):
    order = []

    def row(name, arguments):
        order.append(name)
        if name == "cisrnet_x2":
            raise UserError("no memory")
        return f"| {name} |"

    monkeypatch.setattr(gpu_options, "_row", row)
    arguments = ["--hr", str(photos), "--output", str(tmp_path / "out")]
    assert gpu_options.main(arguments) == 1
    assert len(order) == 10
    assert order.index("rrdbnet_hevc37") < order.index("esrgan_hevc37")
    assert order.index("residual_unet_jpeg") < min(order.index(f"perceptual_{codec}") for codec in ("jpeg", "hevc"))
    assert "| cisrnet_x2 | | | | | | | failed: no memory |" in capsys.readouterr().out
    assert read_image(tmp_path / "out" / "valid" / "a.png").shape == (96, 96, 3)
    with pytest.raises(UserError, match="exists; remove it"):
        gpu_options.main(arguments)


def test_the_overrides_fit_every_file_also_without_the_weights_of_vgg16(photos, tmp_path, monkeypatch):
    def missing(_):
        raise LossWeightsError("vgg16 is not here")

    monkeypatch.setattr(AdversarialOptions, "check", missing)
    arguments = Namespace(hr=photos, output=tmp_path / "out", device="cpu", minutes=0.5, batch=2)
    for path in gpu_options.OPTIONS.glob("*.yml"):
        options, note = gpu_options._options(path.stem, arguments)
        assert options.runtime.minutes == 0.5 and {stage.batch_size for stage in options.stages} == {2}
        assert (note != "") == (path.stem == "esrgan_hevc37")
        if options.stages[0].init is not None:
            assert options.stages[0].init.is_relative_to(tmp_path / "out" / "runs")
