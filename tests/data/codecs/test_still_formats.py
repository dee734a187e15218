"""data.codecs: the bytes and pixels of still formats; bad images and data end in one line."""

import contextlib
import io

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, JpegImagePlugin

from data.codecs import Codec, CodecError, compress, decode, encode, parse
from utils.errors import UserError

PHOTO = np.ascontiguousarray(skimage.data.coffee()[100:196, 200:300])  # 96x100
STILL = ["jpeg40", "webp30", "avif50", "none"]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def assert_one_line(error: pytest.ExceptionInfo) -> str:
    assert isinstance(error.value, UserError)
    assert str(error.value).splitlines() == [str(error.value)]
    return str(error.value)


# ---------------------------------------------------------------------------------------- bytes and pixels


@pytest.mark.parametrize("quality", [1, 5, 10, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_bytes_equal_pillows(name, quality):
    for image in (PHOTO, PHOTO[:63, :41], PHOTO[:1, :1]):
        file = io.BytesIO()
        options = {"method": 4} if name == "webp" else {}
        Image.fromarray(image).save(file, name, quality=quality, **options)
        data = encode(image, f"{name}{quality}")
        assert data == file.getvalue()
        pillow = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        np.testing.assert_array_equal(decode(data, f"{name}{quality}"), pillow)
        np.testing.assert_array_equal(compress(image, f"{name}{quality}"), pillow)


def test_jpeg_is_baseline_420():
    image = Image.open(io.BytesIO(encode(PHOTO, "jpeg100")))
    assert JpegImagePlugin.get_sampling(image) == 2
    assert "progressive" not in image.info


def test_avif_is_pillows_420():
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "AVIF", quality=50, subsampling="4:2:0", speed=6)
    assert encode(PHOTO, "avif50") == file.getvalue()


def test_webp_100_is_lossy():
    data = encode(PHOTO, "webp100")
    assert data[12:16] == b"VP8 "  # VP8L would be lossless
    assert (decode(data, "webp100") != PHOTO).any()


@pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
def test_quality_and_rate_rise_together(name):
    images = [(len(encode(PHOTO, f"{name}{q}")), psnr(compress(PHOTO, f"{name}{q}"), PHOTO)) for q in (10, 40, 90)]
    assert images == sorted(images)
    assert images[0][1] > 20 and images[-1][1] > 32


def test_none_keeps_every_pixel_and_copies():
    result = compress(PHOTO, "none")
    np.testing.assert_array_equal(result, PHOTO)
    assert result is not PHOTO and not np.shares_memory(result, PHOTO)
    np.testing.assert_array_equal(decode(encode(PHOTO, "none"), "none"), PHOTO)


def test_a_chain_is_one_after_the_other():
    twice = compress(compress(PHOTO, "jpeg40"), "webp30")
    np.testing.assert_array_equal(compress(PHOTO, "jpeg40>webp30"), twice)
    data = encode(PHOTO, "jpeg40>webp30")
    assert data == encode(compress(PHOTO, "jpeg40"), "webp30")
    np.testing.assert_array_equal(decode(data, "jpeg40>webp30"), twice)
    assert (twice != compress(PHOTO, "webp30")).any()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*STILL, "jpeg90>jpeg10", "webp5>jpeg30", "jpeg20:400", "jpeg9>shift3,5>jpeg20:444"]),
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(0, 2**32 - 1),
)
def test_any_size_is_kept(spec, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    before = image.copy()
    result = compress(image, spec)
    assert result.shape == image.shape and result.dtype == np.uint8 and result.flags.writeable
    np.testing.assert_array_equal(decode(encode(image, spec), spec), result)
    np.testing.assert_array_equal(image, before)


def test_views_are_taken():
    view = PHOTO[::-1, ::2]
    for spec in STILL:
        np.testing.assert_array_equal(compress(view, spec), compress(view.copy(), spec))


@pytest.mark.parametrize("spec", [*STILL, "hevc37", "jpeg40>webp30"])
@pytest.mark.parametrize(
    "image", [PHOTO / 255, PHOTO[..., 0], PHOTO[:0], PHOTO[..., :2], PHOTO.tolist(), PHOTO.astype(np.uint16), None]
)
def test_other_images_are_refused(spec, image):
    for use in (encode, compress):
        with pytest.raises(CodecError) as error:
            use(image, spec)
        assert "images are" in assert_one_line(error)


@pytest.mark.parametrize(("spec", "side"), [("jpeg40", 65501), ("webp30", 16384), ("avif50", 65536)])
def test_sizes_beyond_the_format_are_refused(spec, side):
    with pytest.raises(CodecError) as error:
        compress(np.zeros((1, side, 3), np.uint8), spec)
    assert str(side) in assert_one_line(error)


# ------------------------------------------------------------------------------------------- untrusted data

WHOLE = {spec: encode(PHOTO, spec) for spec in STILL}


@pytest.mark.parametrize("spec", STILL)
def test_data_cut_short_is_refused(spec):
    end = 24 if spec == "none" else 0  # a PNG's checksums and empty last chunk
    for length in np.linspace(0, len(WHOLE[spec]) - end - 1, 40, dtype=int):
        with pytest.raises(CodecError) as error:
            decode(WHOLE[spec][:length], spec)
        assert spec in assert_one_line(error)


@pytest.mark.parametrize("spec", STILL)
def test_other_formats_are_refused(spec):
    for other, data in WHOLE.items():
        if other != spec:
            with pytest.raises(CodecError):
                decode(data, spec)


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*STILL, "hevc37"]), st.data())
def test_damaged_data_is_decoded_or_refused(spec, data):
    if spec not in WHOLE or data.draw(st.booleans()):
        damaged = data.draw(st.binary(max_size=400))
    else:
        damaged = bytearray(WHOLE[spec])
        for position in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
            damaged[position] = data.draw(st.integers(0, 255))
    try:
        image = decode(bytes(damaged), spec)
    except CodecError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_bombs_are_refused():
    jpeg, webp = bytearray(WHOLE["jpeg40"]), bytearray(WHOLE["webp30"])
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = b"\xff\x00\xff\x00"  # height, width
    frame = webp.index(b"\x9d\x01\x2a")
    webp[frame + 3 : frame + 7] = b"\xff\x3f\xff\x3f"
    for data, spec, size in ((jpeg, "jpeg40", "65280x65280"), (webp, "webp30", "16383x16383")):
        with pytest.raises(CodecError) as error:
            decode(bytes(data), spec)
        assert size in assert_one_line(error)


def test_nothing_is_printed(capfd):
    for spec, data in WHOLE.items():
        for damaged in (b"", data[:50], data[: len(data) // 2], data[:-3]):
            with contextlib.suppress(CodecError):
                decode(damaged, spec)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spec", "target", "package"),
    [
        ("avif50", "data.codecs.avif.features.check", "pillow"),
        ("webp30", "data.codecs.opencv.cv2.haveImageWriter", "opencv-python-headless"),
    ],
)
def test_a_missing_encoder_names_its_package(monkeypatch, spec, target, package):
    monkeypatch.setattr(target, lambda _: False)
    with pytest.raises(CodecError) as error:
        encode(PHOTO, spec)
    assert "pip install" in assert_one_line(error) and package in str(error.value)


def test_descriptions_name_encoder_and_settings():
    assert parse("none").describe() == "no compression"
    assert "quality 40" in parse("jpeg40>webp30").describe() and "quality 30" in parse("jpeg40>webp30").describe()
    assert cv2.__version__ in parse("jpeg40").describe()
    for spec in (*STILL, "hevc37full", "jpeg10..95"):
        assert isinstance(parse(spec), Codec) and len(parse(spec).describe().splitlines()) == 1


def test_subsampling_is_what_the_file_says() -> None:
    for spec, factors in {"jpeg30": (2, 2), "jpeg30:420": (2, 2), "jpeg30:422": (2, 1), "jpeg30:444": (1, 1)}.items():
        with Image.open(io.BytesIO(encode(PHOTO, spec))) as image:
            assert image.layer[0][1:3] == factors, spec
    assert str(parse("jpeg30:420")) == "jpeg30"  # one compression, one name


def test_pillow_makes_the_same_bytes_at_each_subsampling() -> None:
    for subsampling in ("444", "422", "420"):
        file = io.BytesIO()
        Image.fromarray(PHOTO).save(file, "JPEG", quality=40, subsampling=":".join(subsampling))
        assert file.getvalue() == encode(PHOTO, f"jpeg40:{subsampling}")


@pytest.mark.parametrize("spec", ["jpeg30:411", "webp30:444", "jpeg30:44", "hevc37:422", "none:444"])
def test_other_subsamplings_are_refused(spec: str) -> None:
    with pytest.raises(CodecError) as error:
        parse(spec)
    assert_one_line(error)


@pytest.mark.parametrize(
    "spec", ["jpeg40:444", "jpeg40:400", "hevc37:420", "webp30", "none", "jpeg60>webp30", "hevc37"]
)
def test_roundtrip_gives_pixels_and_their_bytes(spec: str) -> None:
    pixels, data = parse(spec).roundtrip(PHOTO)
    assert np.array_equal(pixels, compress(PHOTO, spec))
    assert np.array_equal(pixels, decode(data, spec)) if data else spec == "none"
