"""utils.deep_samples: files of 9 to 16 bits a sample, against values written by hand."""

import io

import numpy as np
import pytest
import tifffile  # comes with scikit-image
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.images import ImageError, decode_image, read_image
from utils.photos import read_photo

RNG = np.random.default_rng(0)


def tiff12(samples: np.ndarray) -> bytes:
    """A grey TIFF of 12 bits: two samples in three bytes (TIFF 6.0, section 8), the tags by tifffile."""
    first, second = samples[:, 0::2].astype(np.uint32), samples[:, 1::2].astype(np.uint32)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1).astype(np.uint8).tobytes()
    height, width = samples.shape
    tags = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(packed)))
    table = b"".join(tag.to_bytes(2, "little") + b"\4\0\1\0\0\0" + value.to_bytes(4, "little") for tag, value in tags)
    start = 8 + len(packed) + len(packed) % 2
    head = b"II*\0" + start.to_bytes(4, "little") + packed + bytes(len(packed) % 2)
    return head + len(tags).to_bytes(2, "little") + table + bytes(4)


def test_twelve_bits_are_stretched_to_the_whole_range(tmp_path):
    samples = RNG.integers(0, 4096, (9, 14), np.uint16)
    samples[0, :2] = 0, 4095
    (tmp_path / "a.tif").write_bytes(tiff12(samples))
    expected = np.floor(samples * 65535.0 / 4095 + 0.5)
    photo = read_photo(tmp_path / "a.tif")
    np.testing.assert_array_equal(photo.pixels[..., 1], expected)
    assert photo.grey
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], np.floor(expected / 257 + 0.5))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_fourth_sample_without_a_meaning_is_no_alpha(tmp_path, bits):
    samples = RNG.integers(0, 1 << bits, (9, 14, 4), f"uint{bits}")
    tifffile.imwrite(tmp_path / "mask.tif", samples, photometric="rgb", extrasamples=["unspecified"])
    photo = read_photo(tmp_path / "mask.tif")
    assert photo.alpha is None
    np.testing.assert_array_equal(photo.pixels, samples[..., :3])
    eight = samples[..., :3] if bits == 8 else np.floor(samples[..., :3] / 257 + 0.5)
    np.testing.assert_array_equal(read_image(tmp_path / "mask.tif"), eight)
    tifffile.imwrite(tmp_path / "alpha.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(read_photo(tmp_path / "alpha.tif").alpha, samples[..., 3])


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_signed_samples_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "signed.tif", np.arange(-50, 50).reshape(10, 10).astype(dtype))
    for read in (read_image, read_photo):
        with pytest.raises(ImageError, match=r"signed\.tif: signed samples: convert it"):
            read(tmp_path / "signed.tif")


def pnm(magic: int, samples: np.ndarray, top: int) -> bytes:
    head = f"P{magic} # a comment 1 2\n{samples.shape[1]}\n{samples.shape[0]} {top}\n".encode()
    if magic in (2, 3):
        return head + b"# another\n" + " ".join(map(str, samples.reshape(-1))).encode()
    return head + samples.astype(">u2" if top > 255 else "u1").tobytes()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2, 3, 5, 6]), st.sampled_from([255, 256, 1000, 4095, 65535]), st.integers(1, 9), st.integers(1, 9)
)
def test_netpbm_files_of_every_range(tmp_path_factory, magic, top, height, width):
    shape = (height, width, 3) if magic in (3, 6) else (height, width)
    samples = np.random.default_rng(top).integers(0, top + 1, shape)
    path = tmp_path_factory.mktemp("pnm") / "a.pnm"
    path.write_bytes(pnm(magic, samples, top))
    photo = read_photo(path)
    full = 65535 if top > 255 else 255
    assert photo.pixels.dtype == (np.uint16 if top > 255 else np.uint8) and photo.grey == (len(shape) == 2)
    expected = np.floor(samples * full / top + 0.5).reshape(height, width, -1)
    np.testing.assert_array_equal(photo.pixels, np.broadcast_to(expected, (height, width, 3)))


@pytest.mark.parametrize("magic", [2, 3, 5, 6])
def test_netpbm_files_that_are_cut_are_refused(tmp_path, magic):
    whole = pnm(magic, RNG.integers(0, 65536, (9, 14, 3) if magic in (3, 6) else (9, 14)), 65535)
    (tmp_path / "a.ppm").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ImageError, match=r"a\.ppm: damaged or cut short"):
        read_image(tmp_path / "a.ppm")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_behind_a_netpbm_mark_are_read_or_refused(data):
    for magic in (b"P2\n", b"P3 ", b"P5\n2 2 ", b"P6 3 1 "):
        try:
            assert decode_image(magic + data, "odd", max_pixels=10_000).dtype == np.uint8
        except ImageError as error:
            assert "\n" not in str(error)


def test_the_samples_of_a_photo_do_not_depend_on_where_a_file_stands(tmp_path):
    data = pnm(6, RNG.integers(0, 65536, (4, 5, 3)), 65535)
    (tmp_path / "a.ppm").write_bytes(data)
    np.testing.assert_array_equal(decode_image(io.BytesIO(data).getvalue(), "bytes"), read_image(tmp_path / "a.ppm"))
