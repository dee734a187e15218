"""jpeg_structure: a JPEG that was cut and closed again is told from a whole one, of every kind of coding."""

import io
import re

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from utils.images import ImageError, decode_image

PHOTO = skimage.data.astronaut()[100:197, 150:249]  # 97×99: blocks at the edges are partly seen
FLAT = PHOTO.copy()
FLAT[60:] = 128  # the colour that a decoder puts where there is nothing
KINDS = {
    "sequential": {},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 7},
    "progressive restarts": {"progressive": True, "restart_marker_rows": 1},
    "optimised": {"optimize": True, "quality": 98},
}


def jpeg(pixels: np.ndarray, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def scans(file: bytes) -> list[tuple[int, int]]:
    """Where the entropy-coded data of each scan of 60 bytes or more start and end."""
    found = []
    for scan in re.finditer(rb"\xff\xda", file):
        start = scan.end() + int.from_bytes(file[scan.end() : scan.end() + 2], "big")
        end = start + re.search(rb"\xff[^\x00\xd0-\xd7]", file[start:]).start()
        found.append((start, end))
    return [(start, end) for start, end in found if end - start >= 60]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read_and_cut_ones_refused(kind, mode):
    for pixels in (PHOTO, FLAT):
        whole = jpeg(pixels, mode, **KINDS[kind])
        assert decode_image(whole, "whole").shape == PHOTO.shape
        assert scans(whole)
        for start, end in scans(whole):  # a cut between two scans cannot be told
            for part in (0.2, 0.6, 0.85):
                cut = whole[: start + int((end - start) * part)]
                cut = cut[:-1] if cut.endswith(b"\xff") else cut
                with pytest.raises(ImageError, match=r"cut\.jpg: damaged or cut short"):
                    decode_image(cut + b"\xff\xd9", "cut.jpg")


def test_what_lies_behind_the_image_is_not_looked_at():
    whole = jpeg(FLAT)
    for padded in (whole + b"trailing", whole[:-2] + bytes(50) + b"\xff\xd9", whole + jpeg(PHOTO)):
        np.testing.assert_array_equal(decode_image(padded, "padded"), decode_image(whole, "whole"))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (3, 40), (17, 9)])
@pytest.mark.parametrize("progressive", [False, True])
def test_small_and_flat_files_are_whole(size, progressive):
    for level in (0, 128, 255):
        pixels = np.full((*size, 3), level, np.uint8)
        assert decode_image(jpeg(pixels, progressive=progressive), "flat").shape == pixels.shape


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 100), st.sampled_from(sorted(KINDS)), st.integers(0, 3))
def test_no_whole_file_is_refused(height, width, quality, kind, seed):
    rng = np.random.default_rng(seed)
    pixels = (rng.integers(0, 256, (height, width, 3)) * (seed % 2) + 255 * (seed > 1)).clip(0, 255).astype(np.uint8)
    assert decode_image(jpeg(pixels, **{"quality": quality, **KINDS[kind]}), "whole").shape == pixels.shape
