"""The colour of a network at scale 1 under the Y of one that enlarges: models.luma, inference, and the bundled pair."""

import cv2
import numpy as np
import pytest
import torch

from commands.restore import main, parse
from data.codecs import decode, encode
from data.jpeg_files import CompressedFile
from data.resize import imresize
from inference import load_restorer
from inference.restorer import Restorer
from inference.whole_image import restore_unrounded, to_uint8
from metrics.psnr_ssim import psnr_rgb, psnr_y
from models import build_generator
from models.luma import with_colour_of
from models.resampling import bicubic
from utils.images import read_image


@pytest.fixture(scope="module")
def photo(photos):
    return np.ascontiguousarray(photos["astronaut"][:96, 20:148])


@pytest.fixture(scope="module")
def enlarging():
    torch.manual_seed(1)
    return build_generator({"type": "rrdbnet", "scale": 2, "num_feat": 4, "num_block": 1, "num_grow_ch": 2}).eval()


@pytest.fixture(scope="module")
def colourist():
    """A network at scale 1 that reads the steps and tints what it is given."""
    network = build_generator({"type": "residual_unet", "widths": [8], "blocks": [1]}).eval()
    torch.manual_seed(2)
    torch.nn.init.normal_(network.tail.weight, std=0.02)
    return network


def ycrcb(image):
    return cv2.cvtColor(image[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2YCrCb)


def test_y_is_of_one_image_and_colour_of_the_other():
    torch.manual_seed(0)
    sr, lr = torch.rand(1, 3, 24, 32), torch.rand(1, 3, 12, 16)
    mixed = ycrcb(with_colour_of(sr, lr))
    np.testing.assert_allclose(mixed[..., 0], ycrcb(sr)[..., 0], atol=1e-5)
    np.testing.assert_allclose(mixed[..., 1:], ycrcb(bicubic(lr, (24, 32)))[..., 1:], atol=3e-4)


def test_the_colour_comes_from_what_is_restored_of_the_file(photo, enlarging, colourist):
    data = encode(photo, "jpeg20")
    lr, file = decode(data, "jpeg20"), CompressedFile(data)
    restorer = Restorer(enlarging, colour=Restorer(colourist))
    mixed = restorer(lr, file=file)
    whole = to_uint8(restore_unrounded(enlarging, lr, file=file, colour=colourist)).astype(int)
    assert np.abs(whole - mixed).max() <= 2  # the restorer holds the colour in 8 bits
    assert not np.array_equal(mixed, Restorer(enlarging)(lr, file=file))
    assert restorer.reads_files and not np.array_equal(mixed, restorer(lr))  # the pixels tell less than the file
    tiled = Restorer(enlarging, tile=64, overlap=32, colour=Restorer(colourist))
    apart = np.abs(tiled(lr, file=file).astype(int) - mixed)
    assert tiled.tiles > 1 and apart.max() <= 2
    deep = restorer(photo.astype(np.uint16) * 257)
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - restorer(photo)).max() <= 2


def test_a_note_tells_of_traces_that_the_colour_was_restored_by(photos, enlarging, colourist):
    restorer = Restorer(enlarging, colour=Restorer(colourist))
    photo = np.ascontiguousarray(photos["coffee"])
    restorer(decode(encode(photo, "jpeg40"), "jpeg40"))
    assert "colour restored as a JPEG's of quality" in restorer.note
    restorer(np.repeat(photo[..., :1], 3, axis=2))  # grey: nothing is said of the photo before
    assert restorer.note is None


def test_progress_counts_both_networks_and_grey_needs_one(photo, enlarging, colourist):
    calls = []
    restorer = Restorer(enlarging, tile=64, overlap=32, colour=Restorer(colourist))
    restorer(photo, lambda done, count: calls.append((done, count)))
    assert calls == [(1, 1), *((n + 1, restorer.tiles) for n in range(restorer.tiles))]
    grey = np.repeat(photo[..., :1], 3, axis=2)
    calls.clear()
    assert np.array_equal(
        restorer(grey, lambda *now: calls.append(now)), Restorer(enlarging, tile=64, overlap=32)(grey)
    )
    assert len(calls) == restorer.tiles


@pytest.mark.parametrize("spec", ["jpeg10", "jpeg40", "jpeg90", "none"])
def test_the_bundled_pair_has_better_colour(photos, spec):
    hr = np.ascontiguousarray(photos["astronaut"][:192, :192])
    small = imresize(hr, 0.5)
    data = b"" if spec == "none" else encode(small, spec)
    lr = small if spec == "none" else decode(data, spec)
    pair = load_restorer("cisrnet_x2", "cpu")(lr, file=CompressedFile(data))
    own = load_restorer("cisrnet_x2", "cpu", own_colour=True)(lr, file=CompressedFile(data))
    assert psnr_rgb(pair, hr) > psnr_rgb(own, hr) + 0.03
    assert abs(psnr_y(pair, hr, border=2) - psnr_y(own, hr, border=2)) < 0.03


def test_restore_takes_it_by_default_and_says_so(tmp_path, photos, capsys):
    (tmp_path / "in.jpg").write_bytes(encode(np.ascontiguousarray(photos["coffee"][:64, :64]), "jpeg10"))

    def restored(*more):
        arguments = [tmp_path / "in.jpg", "--output", tmp_path / "out", "--overwrite", *more]
        assert main(parse([str(argument) for argument in arguments])) == 0
        return read_image(tmp_path / "out" / "in.png"), capsys.readouterr().err

    pair, said = restored()
    assert "colour by residual_unet_jpeg; --own-colour keeps that of the network itself" in said
    own, said = restored("--own-colour")
    assert "colour" not in said and not np.array_equal(own, pair)
