"""data.jpeg_files.cell: the original is inside, projection is one, and never harms."""

import io

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.codecs import decode, encode
from data.jpeg_files.cell import MCU, read_cell

PHOTO = np.ascontiguousarray(skimage.data.astronaut()[40:141, 150:253])  # 101×103: no multiple of a block
YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square on Y, Cb and Cr, in grey levels."""
    return float(np.sqrt(np.mean(((a.astype(np.float64) - b) @ YCC.T) ** 2)))


@pytest.mark.parametrize("spec", ["jpeg10", "jpeg50:444", "jpeg75:422", "jpeg90", "jpeg98:444"])
def test_original_and_decoded_image_lie_inside(spec: str) -> None:
    data = encode(PHOTO, spec)
    cell = read_cell(data)
    # Encoders and decoders round colours to whole numbers: nothing else takes either of them out of the cell.
    for image in (PHOTO, decode(data, spec)):
        assert distance(cell.project(image.astype(np.float32)), image) < 0.5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 100), st.sampled_from(["", ":444", ":422"]), st.integers(1, 4), st.integers(1, 4), st.integers(0))
def test_projection_is_idempotent_and_never_moves_away(
    quality: int, sampling: str, down: int, across: int, seed: int
) -> None:
    original = PHOTO[: down * MCU, : across * MCU]
    cell = read_cell(encode(original, f"jpeg{quality}{sampling}"))
    noise = np.random.default_rng(seed).normal(0, 8, original.shape)
    inside = cell.project(original.astype(np.float32))  # exactly in the cell, which the rounded original may not be
    other = (inside + noise).astype(np.float32)
    projected = cell.project(other)
    assert np.abs(cell.project(projected) - projected).max() < 0.02
    assert distance(projected, inside) <= distance(other, inside) + 0.01


def test_a_restored_image_comes_closer_at_high_quality() -> None:
    blurred = np.asarray(Image.fromarray(PHOTO).resize((52, 51)).resize((103, 101))).astype(np.float32)
    projected = read_cell(encode(PHOTO, "jpeg90")).project(blurred)
    assert distance(projected, PHOTO) < 0.6 * distance(blurred, PHOTO)


def test_bands_make_the_whole() -> None:
    cell = read_cell(encode(PHOTO, "jpeg60"))
    other = PHOTO[::-1].astype(np.float32)
    whole = cell.project(other)
    bands = [cell.project(other[top : top + 48], top) for top in range(0, 101, 48)]
    np.testing.assert_allclose(np.concatenate(bands), whole, atol=1e-3)


@pytest.mark.parametrize(("rows", "top"), [(40, 0), (48, 8), (48, 96), (101, 16)])
def test_bands_that_do_not_fit_are_refused(rows: int, top: int) -> None:
    with pytest.raises(ValueError, match=r"a band of"):
        read_cell(encode(PHOTO, "jpeg60")).project(np.zeros((rows, 103, 3), np.float32), top)


def test_a_narrower_cell_keeps_closer_to_the_file() -> None:
    data = encode(PHOTO, "jpeg30:444")
    cell, lr = read_cell(data), decode(data, "jpeg30:444")
    other = np.roll(PHOTO, 3, axis=1).astype(np.float32)
    assert distance(cell.project(other, width=0.5), lr) < distance(cell.project(other), lr) < distance(other, lr)
    assert distance(cell.project(other, width=0.0), lr) < 0.5


def test_grey_progressive_and_optimised_files() -> None:
    grey = Image.fromarray(PHOTO).convert("L")
    for image, settings_ in ((grey, {}), (Image.fromarray(PHOTO), {"progressive": True, "optimize": True})):
        file = io.BytesIO()
        image.save(file, "JPEG", quality=85, **settings_)
        original = np.asarray(image.convert("RGB"))
        assert distance(read_cell(file.getvalue()).project(original.astype(np.float32)), original) < 0.5


def test_other_files_have_none() -> None:
    cmyk = io.BytesIO()
    Image.fromarray(PHOTO).convert("CMYK").save(cmyk, "JPEG")
    for data in (b"", encode(PHOTO, "webp50"), encode(PHOTO, "none"), b"\xff\xd8 no JPEG", cmyk.getvalue()):
        assert read_cell(data) is None


def test_a_damaged_file_ends_no_process() -> None:
    data = bytearray(encode(PHOTO, "jpeg50"))
    rng = np.random.default_rng(3)
    for _ in range(40):
        broken = data.copy()
        for place in rng.integers(2, len(data), 6):
            broken[place] ^= 1 << int(rng.integers(8))
        cell = read_cell(bytes(broken))
        assert cell is None or cell.planes


def test_factors_keep_a_share_of_each_change() -> None:
    for spec in ("jpeg40", "jpeg70:444"):
        cell, other = read_cell(encode(PHOTO, spec)), np.roll(PHOTO, 3, axis=1).astype(np.float32)
        ones = np.ones((2, 2, 8, 8), np.float32)
        np.testing.assert_allclose(cell.project(other, factors=ones), cell.project(other), atol=1e-3)
        np.testing.assert_allclose(cell.project(other, factors=0 * ones), cell.project(other, width=0.0), atol=1e-3)
        half, double = cell.project(other, factors=ones / 2), cell.project(other, factors=2 * ones)
        inside = cell.project(other)
        np.testing.assert_allclose(half, (inside + cell.project(other, width=0.0)) / 2, atol=2e-3)
        assert np.abs(cell.project(double) - double)[:96, :96].max() < 0.02  # still in the cell
        luma = ones.copy()
        luma[1] = 0
        assert distance(cell.project(other, factors=luma), inside) > 0.5


def test_offsets_are_what_projection_takes_away() -> None:
    photo = PHOTO[:96, :96]
    cell, other = read_cell(encode(photo, "jpeg50")), np.roll(photo, 3, axis=1).astype(np.float32)
    outside = [np.abs(offsets).max() for offsets, _ in cell.offsets(other)]
    inside = [np.abs(offsets).max() for offsets, _ in cell.offsets(cell.project(other))]
    assert min(outside) > 0.6 and max(inside) < 0.51
    assert [levels.shape for _, levels in cell.offsets(other)] == [(12, 8, 12, 8), (6, 8, 6, 8), (6, 8, 6, 8)]
