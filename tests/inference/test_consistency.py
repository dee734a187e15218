"""inference.consistency: results at any scale agree with the JPEG that they come from, in bands as in one piece."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.codecs import decode, encode
from data.jpeg_files import CompressedFile
from data.resize import imresize, modcrop
from inference import load_restorer
from inference.consistency import consistent, reduced
from inference.restorer import Restorer
from inference.shipped_weights import DEFAULTS
from inference.whole_image import restore, restore_unrounded
from metrics.psnr_ssim import psnr_rgb
from models import build_generator
from models.calibration import Calibration


def blurring(scale):
    return build_generator({"type": "bicubic", "scale": scale}).eval()


def calibrated(scale, share=1.0):
    """Bicubic, of whose changes of DCT coefficients this share is kept."""
    network = blurring(scale)
    network.calibration = Calibration((1.0, 50.0), np.full((2, 2, 2, 8, 8), share, np.float32), 1.0)
    return network


@pytest.fixture(scope="module")
def photo(photos):
    return np.ascontiguousarray(photos["coffee"][:152, :128])


@settings(max_examples=40, deadline=None)
@given(
    scale=st.integers(1, 4),
    height=st.integers(17, 150),
    spec=st.sampled_from(["jpeg50", "jpeg80:444", "jpeg30"]),
    cuts=st.lists(st.floats(0, 1), max_size=6),
)
def test_bands_give_what_the_whole_gives(photos, scale, height, spec, cuts):
    lr = np.ascontiguousarray(photos["coffee"][:height, :37])
    known = CompressedFile(encode(lr, spec)).quantisation_of(lr)
    result = torch.from_numpy(np.random.default_rng(height).random((3, height * scale, 37 * scale), np.float32))
    network = blurring(scale)
    rows = sorted({round(cut * height) * scale for cut in cuts} - {0, height * scale})
    parts = torch.tensor_split(result, rows, dim=1)
    whole, banded = (torch.cat(list(consistent(iter(bands), known, network)), dim=1) for bands in ([result], parts))
    assert whole.shape == result.shape and not torch.equal(whole, result)
    torch.testing.assert_close(banded, whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_reduced_result_comes_nearer_to_the_cell_and_the_result_to_the_original(photo, scale):
    hr = modcrop(photo, scale)
    original = imresize(hr, 1 / scale)
    data = encode(original, "jpeg90:444")
    lr, file = decode(data, "jpeg90:444"), CompressedFile(data)
    cell = file.quantisation_of(lr).cell
    free, held = (restore_unrounded(blurring(scale), lr, file=file, consistency=kept) for kept in (False, True))

    def outside(image):
        steps, _ = cell.offsets(reduced((image * 255).permute(1, 2, 0).numpy(), scale))[0]
        return float(np.square(np.maximum(np.abs(steps) - 0.5, 0)).sum())

    assert 0 < outside(held) < 0.3 * outside(free)
    images = (restore(blurring(scale), lr, file=file, consistency=kept) for kept in (False, True))
    before, after = (psnr_rgb(image, hr) for image in images)
    assert after > before + 0.1


def test_a_calibration_says_how_much_of_a_change_is_kept(photo):
    network = calibrated(2, share=0.0)
    data = encode(photo, "jpeg95:444")
    lr, file = decode(data, "jpeg95:444"), CompressedFile(data)
    cell = file.quantisation_of(lr).cell
    held = restore_unrounded(network, lr, file=file, consistency=True)
    free = restore_unrounded(network, lr)

    def distance(image):
        steps, _ = cell.offsets(reduced((image * 255).permute(1, 2, 0).numpy(), 2))[0]
        return float(np.square(steps).sum())

    assert distance(held) < 0.2 * distance(free)


@pytest.mark.parametrize("scale", [1, 2])
def test_colour_changes_at_scale_1_alone(photo, scale):
    known = CompressedFile(encode(photo, "jpeg60")).quantisation_of(photo)
    torch.manual_seed(0)
    result = torch.rand(3, 152 * scale, 128 * scale)
    change = torch.cat(list(consistent(iter([result]), known, blurring(scale))), dim=1) - result
    alike = (change[:1] - change[1:]).abs().max().item()
    assert alike > 0.1 if scale == 1 else alike < 1e-5 < change.abs().max()


@pytest.mark.parametrize("scale", [2, 4])
def test_restorer_does_the_same_in_tiles(photo, scale):
    data = encode(photo, "jpeg40")
    lr, file = decode(data, "jpeg40"), CompressedFile(data)
    held = restore(calibrated(scale), lr, file=file, consistency=True)
    assert np.array_equal(Restorer(calibrated(scale))(lr, file=file), held)
    tiled = Restorer(calibrated(scale), tile=64, overlap=32)
    assert np.abs(tiled(lr, file=file).astype(int) - held).max() <= 1 and tiled.tiles > 1
    # Networks that were not calibrated may remove more than compression.
    for free in (Restorer(calibrated(scale), consistency=False), Restorer(blurring(scale))):
        assert np.array_equal(free(lr, file=file), restore(blurring(scale), lr))
        assert not np.array_equal(free(lr), held) and tiled.reads_files and not free.reads_files


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_defaults_keep_coefficients_within_half_a_step(photos, scale):
    photo = np.ascontiguousarray(photos["chelsea"][: 128 // scale * scale, : 128 // scale * scale])
    data = encode(photo if scale == 1 else imresize(photo, 1 / scale), "jpeg90")
    lr, file = decode(data, "jpeg90"), CompressedFile(data)
    cell = file.quantisation_of(lr).cell
    within = []
    for kept in (True, False):
        result = load_restorer(DEFAULTS[scale], "cpu", consistency=kept)(lr, file=file)
        offsets, _ = cell.offsets(reduced(result.astype(np.float32), scale))[0]
        rounding = 1 / cell.planes[0].steps[:, None, :]  # the result is in 8 bits
        within.append(float((np.abs(offsets) <= 0.5 + rounding).mean()))
    assert within[0] > max(0.998, within[1])
