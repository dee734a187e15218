"""data.jpeg_files.quantisation: the header's steps, and those of a spec."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from data.codecs import encode, parse
from data.jpeg_files.quantisation import UNKNOWN, steps_in_file, steps_of

PHOTO = np.ascontiguousarray(skimage.data.coffee()[100:164, 200:300])


@pytest.mark.parametrize("quality", [1, 10, 50, 90, 100])
def test_steps_are_the_standard_tables_scaled(quality: int) -> None:
    luma, chroma = steps_in_file(encode(PHOTO, f"jpeg{quality}"))
    with Image.open(io.BytesIO(encode(PHOTO, f"jpeg{quality}"))) as image:
        assert (luma, chroma) == (np.mean(image.quantization[0]), np.mean(image.quantization[1]))
    if quality == 50:
        assert (luma, chroma) == (57.625, 86.015625)  # Annex K of the standard, as it stands


def test_a_spec_has_the_steps_of_its_files() -> None:
    for spec in ("jpeg30", "jpeg30:444", "webp50>jpeg30", "jpeg90>jpeg30:422", "jpeg80>shift4,4>jpeg30"):
        assert steps_of(parse(spec)) == steps_in_file(encode(PHOTO, spec)) == steps_of(parse("jpeg30"))


@pytest.mark.parametrize("spec", ["none", "webp30", "jpeg30>webp30", "avif50"])
def test_others_are_unknown(spec: str) -> None:
    assert steps_of(parse(spec)) == steps_in_file(encode(PHOTO, spec)) == UNKNOWN


@pytest.mark.parametrize("quality", [5, 10, 50, 73, 90, 98])
def test_the_chroma_step_of_a_grey_file_is_that_of_a_colour_file(quality: int) -> None:
    file = io.BytesIO()
    Image.fromarray(PHOTO).convert("L").save(file, "JPEG", quality=quality)
    assert steps_in_file(file.getvalue()) == pytest.approx(steps_in_file(encode(PHOTO, f"jpeg{quality}")))


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xdb\x00\x43\x00", b"no image"])
def test_damage_is_unknown(data: bytes) -> None:
    assert steps_in_file(data) == UNKNOWN


def test_a_large_photo_has_its_steps(monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    data = encode(PHOTO, "jpeg50")
    known = steps_in_file(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses more than twice as many
    assert steps_in_file(data) == known != UNKNOWN
    assert not recwarn.list
