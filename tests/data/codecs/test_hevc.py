"""data.codecs.hevc: HM's operating point out of x265, exact sizes, whole streams."""

import contextlib
import re
import subprocess
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from data.codecs import CodecError, compress, decode, encode, hevc, parse, ycbcr
from data.codecs.hevc import Hevc
from utils.errors import UserError

COFFEE = skimage.data.coffee()
CROP = np.ascontiguousarray(COFFEE[100:160, 200:272])
STREAM = encode(CROP, "hevc37")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def assert_one_line(error: pytest.ExceptionInfo) -> str:
    assert isinstance(error.value, UserError)
    assert str(error.value).splitlines() == [str(error.value)]
    return str(error.value)


def nal_types(stream: bytes) -> list[int]:
    return [unit[0] >> 1 & 63 for unit in re.split(b"\x00\x00\x01", stream)[1:]]


# --------------------------------------------------------------------------------------- HM's operating point


def test_rate_and_quality_of_a_known_photo():
    """Measured beside HM 16.5, which gives 0.1925 bit/pixel and 29.32 dB."""
    data = encode(COFFEE, "hevc37")
    assert 8 * len(data) / (400 * 600) == pytest.approx(0.197, abs=0.004)
    assert psnr(decode(data, "hevc37"), COFFEE) == pytest.approx(29.19, abs=0.05)


@pytest.mark.parametrize("qp", [22, 37, 51])
def test_pictures_are_coded_at_the_qp_asked_for(monkeypatch, capfd, qp):
    monkeypatch.setattr(hevc, "_LOG_LEVEL", "info")
    encode(CROP, f"hevc{qp}")
    log = capfd.readouterr().err
    assert re.findall(r"frame I: +1, Avg QP:([\d.]+)", log) == [f"{qp}.00"]
    assert "psy-rd" not in log  # it would move the chroma QP
    assert "unknown option" not in log and "error" not in log


def test_one_thread_with_wavefronts(monkeypatch, capfd):
    monkeypatch.setattr(hevc, "_LOG_LEVEL", "info")
    encode(COFFEE, "hevc51")
    log = capfd.readouterr().err
    assert "using 1 threads" in log and "1 / wpp(7 rows)" in log


def test_chroma_is_coded_at_the_same_qp():
    """With x265's offset of +6 chroma at QP 37 would look as at QP 43."""
    colours = COFFEE[::2, ::2]

    def chroma_error(qp: int) -> float:
        difference = ycbcr.to_ycbcr(compress(colours, f"hevc{qp}"), False).astype(float)
        return float(np.abs(difference - ycbcr.to_ycbcr(colours, False))[1:].mean())

    assert chroma_error(37) < 0.8 * chroma_error(43)


def test_x265_takes_hms_lambda(monkeypatch, capfd):
    monkeypatch.setattr(hevc, "_LOG_LEVEL", "debug")
    encode(CROP, "hevc37")
    log = capfd.readouterr().err
    hms = np.array([0.57 * 2 ** ((qp - 12) / 3) for qp in range(70)])
    for name, expected in ((r"lambda ", np.sqrt(hms)), ("lambda2", hms)):
        read = re.findall(rf"{name}\[(\d+)\] = ([\d.]+)", log)
        assert [int(qp) for qp, _ in read] == list(range(70))
        np.testing.assert_allclose([float(value) for _, value in read], expected, rtol=0, atol=1e-6)


def test_lambda_decides_and_is_given_every_time(monkeypatch):
    """x265 keeps the tables for the whole process: an encoder without a file would take the last one's."""
    ours = hevc._lambda_file()
    monkeypatch.setattr(hevc, "_lambda_file", lambda: "".join(f"{4 * float(x)}\n" for x in ours.split()))
    assert len(encode(CROP, "hevc37")) < 0.9 * len(STREAM)
    monkeypatch.undo()
    assert encode(CROP, "hevc37") == STREAM


def test_a_stream_holds_headers_one_picture_and_the_end_mark():
    assert nal_types(STREAM) == [32, 33, 34, 20, 37]  # VPS, SPS, PPS, IDR: no SEI
    assert encode(CROP, "hevc37") == STREAM


def test_qp_and_range_matter():
    results = {spec: psnr(compress(CROP, spec), CROP) for spec in ("hevc0", "hevc22", "hevc37", "hevc51")}
    assert sorted(results, key=results.get) == ["hevc51", "hevc37", "hevc22", "hevc0"]
    assert results["hevc0"] > 46
    assert psnr(compress(COFFEE, "hevc37full"), COFFEE) > psnr(compress(COFFEE, "hevc37"), COFFEE) + 0.5


@pytest.mark.parametrize(
    ("rgb", "limited", "full"),
    [
        ((255, 255, 255), (235, 128, 128), (255, 128, 128)),
        ((0, 0, 0), (16, 128, 128), (0, 128, 128)),
        ((255, 0, 0), (81, 90, 240), (76, 85, 255)),
        ((0, 255, 0), (145, 54, 34), (150, 44, 21)),
        ((0, 0, 255), (41, 240, 110), (29, 255, 107)),
    ],
)
def test_bt601(rgb, limited, full):
    image = np.array([[rgb]], np.uint8)
    for full_range, expected in ((False, limited), (True, full)):
        planes = ycbcr.to_ycbcr(image, full_range)
        assert planes.shape == (3, 1, 1) and tuple(planes[:, 0, 0]) == expected
        assert np.abs(ycbcr.to_rgb(planes, full_range).astype(int) - rgb).max() <= 2


# ------------------------------------------------------------------------------------------------------ sizes


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from(["hevc45", "hevc30full", "jpeg50>hevc40"]))
def test_any_size_is_kept(height, width, spec):
    image = np.ascontiguousarray(COFFEE[120 : 120 + height, 210 : 210 + width])
    data = encode(image, spec)
    assert decode(data, spec).shape == image.shape
    assert data == encode(image, spec)


@pytest.mark.parametrize("size", [(1, 1), (5, 20), (33, 7), (15, 16)])
def test_small_images_are_padded_by_replication(size):
    image = CROP[: size[0], : size[1]]
    padded = np.pad(image, ((0, max(0, 16 - size[0])), (0, max(0, 16 - size[1])), (0, 0)), mode="edge")
    np.testing.assert_array_equal(compress(image, "hevc30"), compress(padded, "hevc30")[: size[0], : size[1]])


def test_too_large_an_image_is_refused():
    with pytest.raises(CodecError) as error:
        encode(np.zeros((1, 16385, 3), np.uint8), "hevc37")
    assert "16385x1" in assert_one_line(error)


# --------------------------------------------------------------------------------------------- untrusted data


def test_data_cut_short_is_refused():
    for length in range(len(STREAM)):
        with pytest.raises(CodecError) as error:
            decode(STREAM[:length], "hevc37")
        assert "hevc37" in assert_one_line(error)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_data_is_decoded_or_refused(data):
    damaged = bytearray(STREAM)
    for position in data.draw(st.lists(st.integers(0, len(damaged) - 6), min_size=1, max_size=5)):
        damaged[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        damaged[:] = data.draw(st.binary(max_size=300)) + STREAM[-5:]
    try:
        image = decode(bytes(damaged), "hevc37")
    except CodecError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert image.dtype == np.uint8 and image.ndim == 3


def test_streams_that_ffmpeg_does_not_know_are_refused():
    unknown = STREAM[:6] + b"\x00" + STREAM[7:]  # FFmpeg: "not yet implemented", an error of its own kind
    with pytest.raises(CodecError) as error:
        decode(unknown, "hevc37")
    assert "damaged" in assert_one_line(error)


def test_two_pictures_are_refused():
    with pytest.raises(CodecError) as error:
        decode(STREAM[:-5] + STREAM, "hevc37")
    assert "2 pictures" in assert_one_line(error)


def test_bombs_are_refused(monkeypatch):
    monkeypatch.setattr(hevc, "MAX_PIXELS", 60 * 72 - 1)
    with pytest.raises(CodecError) as error:
        decode(STREAM, "hevc37")
    assert_one_line(error)


def test_nothing_is_printed(capfd):
    encode(CROP, "hevc37")
    for damaged in (STREAM, b"", STREAM[:90] + STREAM[-5:], STREAM[60:]):
        with contextlib.suppress(CodecError):
            decode(damaged, "hevc37")
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------ environment


def test_temporary_folders_of_any_name_do(tmp_path, monkeypatch):
    folder = tmp_path / "a folder: it's \\ odd"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert encode(CROP, "hevc37") == STREAM
    assert not list(folder.iterdir())


def test_a_full_disk_is_a_codec_error(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(CodecError) as error:
        encode(CROP, "hevc37")
    assert "No such file" in assert_one_line(error)


def test_without_pyav(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for use in (lambda: encode(CROP, "hevc37"), lambda: decode(STREAM, "hevc37"), parse("hevc37").describe):
        with pytest.raises(CodecError) as error:
            use()
        assert "pip install av" in assert_one_line(error)


def test_without_libx265(monkeypatch):
    def create(name, mode):
        raise ValueError(name)

    fake = types.SimpleNamespace(CodecContext=types.SimpleNamespace(create=create), FFmpegError=av.FFmpegError)
    monkeypatch.setattr(hevc, "_pyav", lambda: fake)
    with pytest.raises(CodecError) as error:
        encode(CROP, "hevc37")
    assert "libx265" in assert_one_line(error) and "pip install av" in str(error.value)


def test_av_is_loaded_only_when_needed():
    code = "import sys; import data.codecs; data.codecs.parse('hevc37'); sys.exit('av' in sys.modules)"
    root = Path(hevc.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


# ---------------------------------------------------------------------------------------------------- objects


def test_the_encoder_says_its_version_and_settings():
    assert re.search(r"^HEVC QP 37, 4:4:4 8 bit, all intra, BT.601 limited range, by x265 \d[\w.+-]* with preset slow",
                     Hevc(37).describe())  # fmt: skip
    assert "full range" in parse("hevc22full").describe()


def test_threads_encode_the_same_bytes():
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda qp: encode(CROP, f"hevc{qp}"), (22, 37, 27, 42))) == [
            encode(CROP, f"hevc{qp}") for qp in (22, 37, 27, 42)
        ]


def test_hevc_objects():
    assert Hevc(37) == parse("hevc37") and av.__version__ in Hevc(37).describe()
    with pytest.raises(CodecError, match="0 to 51"):
        Hevc(60)


@pytest.mark.parametrize("size", [(1, 1), (17, 20), (33, 47)])
def test_420_keeps_any_size_and_halves_the_chroma(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels, data = parse("hevc30:420").roundtrip(image)
    assert pixels.shape == image.shape
    even = decode(data, "hevc30:420")
    assert even.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    np.testing.assert_array_equal(even[: size[0], : size[1]], pixels)
    with pytest.raises(CodecError, match="4:4:4"):
        decode(data, "hevc30")


def test_420_costs_less_and_keeps_y():
    whole, halved = (parse(f"hevc27{chroma}").roundtrip(CROP) for chroma in ("", ":420"))
    assert len(halved[1]) < 0.95 * len(whole[1])
    y = [ycbcr.to_ycbcr(image, False)[0].astype(float) for image in (CROP, whole[0], halved[0])]
    errors = [np.square(y[0] - coded).mean() for coded in y[1:]]
    assert errors[1] < 1.2 * errors[0]
    # Colours that do not change from pixel to pixel lose nothing by it.
    flat = np.full((32, 48, 3), (200, 90, 40), np.uint8)
    assert np.abs(compress(flat, "hevc10:420").astype(int) - flat).max() <= 3


def test_halved_and_enlarged_chroma_lies_where_it_was():
    ramp = np.tile(np.arange(0, 128, 2, dtype=np.uint8), (3, 32, 1))
    again = ycbcr.enlarged_chroma(ycbcr.halved_chroma(ramp))
    np.testing.assert_array_equal(again[0], ramp[0])
    assert np.abs(again[1:].astype(int) - ramp[1:])[:, :, 1:-1].max() <= 1
