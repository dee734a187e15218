"""The default network at scale 1 does no harm, and helps also where a file tells nothing."""

import numpy as np
import pytest
import skimage.data

from data.codecs import compress, encode
from data.jpeg_files import CompressedFile
from inference import load_restorer
from metrics.psnr_ssim import psnr_rgb


@pytest.fixture(scope="module")
def restorer():
    return load_restorer("residual_unet_jpeg", device="cpu")


@pytest.fixture(scope="module")
def photo(photos):
    return np.ascontiguousarray(photos["astronaut"][:128, :128])


@pytest.mark.parametrize(("spec", "least"), [("jpeg10", 0.4), ("jpeg40", 0.4), ("jpeg90", 0.1)])
def test_gains_on_a_jpeg_file(restorer, photo, spec, least):
    before = compress(photo, spec)
    after = restorer(before, file=CompressedFile(encode(photo, spec)))
    assert psnr_rgb(after, photo) - psnr_rgb(before, photo) > least


@pytest.mark.parametrize("spec", ["jpeg10", "jpeg40", "webp5", "webp20", "webp50"])
def test_gains_where_the_steps_are_unknown(restorer, photo, spec, monkeypatch):
    monkeypatch.setattr("data.jpeg_files.traced_quality", lambda image: None)
    before = compress(photo, spec)
    assert psnr_rgb(restorer(before), photo) - psnr_rgb(before, photo) > 0.05


@pytest.mark.parametrize(("spec", "least"), [("jpeg90", 0.2), ("jpeg10>jpeg40", 0.5), ("jpeg30>jpeg80", 0.5)])
def test_gains_on_files_that_were_saved_again(restorer, spec, least):
    photo = np.ascontiguousarray(skimage.data.coffee()[80:336, 100:356])
    before, data = compress(photo, spec), encode(photo, spec)
    after = restorer(before) if spec == "jpeg90" else restorer(before, file=CompressedFile(data))
    assert "traces" in restorer.note and psnr_rgb(after, photo) - psnr_rgb(before, photo) > least


def test_leaves_clean_pictures_alone(restorer, photo):
    page = np.full((96, 96, 3), 255, np.uint8)
    page[20:24, 10:86] = page[40:80, 30:33] = (20, 20, 120)
    for clean in (photo, page, photo.astype(np.uint16) * 257):
        assert np.array_equal(restorer(clean), clean) and "left as it is" in restorer.note
    restorer(compress(photo, "webp10"))
    assert restorer.note is None


def test_gains_on_a_grey_file(restorer, photo):
    grey = np.repeat(photo[..., 1:2], 3, axis=2)
    before = compress(grey, "jpeg40:400")
    after = restorer(before, file=CompressedFile(encode(grey, "jpeg40:400")))
    assert psnr_rgb(after, grey) - psnr_rgb(before, grey) > 0.4
