"""`python test.py calibrate`: a network's changes are kept as far as they help, and mistakes are one line."""

import numpy as np
import pytest
import skimage.data
import torch

from commands.calibrate import main, parse
from data.codecs import decode, encode
from data.jpeg_files import CompressedFile
from data.resize import imresize
from inference.whole_image import restore
from models import build_generator, options_in_file
from models.weight_files import export_weights
from utils.errors import UserError
from utils.images import write_png


def run(*arguments):
    return main(parse([str(argument) for argument in arguments]))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that adds fine noise to what it is given."""
    torch.manual_seed(1)
    network = build_generator({"type": "residual_unet", "widths": [8], "blocks": [1]})
    torch.nn.init.normal_(network.tail.weight, std=0.05)
    path = tmp_path_factory.mktemp("weights") / "noisy.safetensors"
    path.write_bytes(export_weights(network, {"experiment": "noisy"}))
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_png(folder / "a.png", skimage.data.coffee()[:256, :256])
    write_png(folder / "b.png", skimage.data.chelsea()[:200, :300])
    return folder


def test_a_calibrated_network_does_less_harm(weights, photographs, tmp_path, capsys):
    output = tmp_path / "calibrated.safetensors"
    assert run("--weights", weights, "--hr", photographs, "--output", output) == 0
    said = capsys.readouterr().out
    assert "quality 10 " in said and "2 photographs" in said
    calibrated, plain = (build_generator(options_in_file(path)).eval() for path in (output, weights))
    photo = np.ascontiguousarray(skimage.data.astronaut()[:96, 160:288])
    for spec in ("jpeg30", "jpeg80", "jpeg92"):
        data = encode(photo, spec)
        pixels, file = decode(data, spec), CompressedFile(data)
        errors = [
            np.mean((restore(network, pixels, file=file, consistency=True).astype(float) - photo) ** 2)
            for network in (calibrated, plain)
        ]
        assert errors[0] < errors[1]
    with pytest.raises(UserError, match="--overwrite"):
        run("--weights", weights, "--hr", photographs, "--output", output)
    first = output.read_bytes()  # a second calibration starts afresh
    assert run("--weights", output, "--hr", photographs, "--output", output, "--overwrite") == 0
    assert output.read_bytes() == first


def test_a_network_for_a_larger_scale_is_calibrated_at_the_size_of_its_files(photographs, tmp_path):
    torch.manual_seed(1)
    network = build_generator({"type": "vdsr", "scale": 2, "num_feat": 4, "layers": 3}).eval()
    weights, output = tmp_path / "noisy.safetensors", tmp_path / "calibrated.safetensors"
    weights.write_bytes(export_weights(network, {}))
    assert run("--weights", weights, "--hr", photographs, "--output", output, "--count", 1) == 0
    calibrated = build_generator(options_in_file(output)).eval()
    photo = np.ascontiguousarray(skimage.data.astronaut()[:192, 160:352])
    for spec in ("jpeg40", "jpeg90"):
        data = encode(imresize(photo, 0.5), spec)
        pixels, file = decode(data, spec), CompressedFile(data)
        held, free = (
            np.mean((restore(calibrated, pixels, file=file, consistency=kept).astype(float) - photo) ** 2)
            for kept in (True, False)
        )
        assert held < free


def test_mistakes(weights, photographs, tmp_path):
    given = ("--weights", weights, "--hr", photographs)
    for arguments, said in (
        ((*given, "--output", "x.pth"), "ends in .safetensors"),
        ((*given, "--output", tmp_path / "x.safetensors", "--count", 0), "--count is 0"),
        (("--weights", weights, "--hr", tmp_path, "--output", tmp_path / "x.safetensors"), "no images"),
    ):
        with pytest.raises(UserError, match=said):
            run(*arguments)
    write_png(tmp_path / "small/a.png", skimage.data.coffee()[:100, :100])
    with pytest.raises(UserError, match="64 are needed"):
        run("--weights", weights, "--hr", tmp_path / "small", "--output", tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()
