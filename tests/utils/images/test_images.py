"""utils.images: what every kind of file becomes, and that no damaged file passes."""

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data
import tifffile  # comes with scikit-image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from utils.errors import UserError
from utils.images import ImageError, decode_image, image_size, list_images, read_image, write_png

PHOTO = skimage.data.astronaut()[100:164, 150:246]  # 64x96
RNG = np.random.default_rng(0)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png16(samples: np.ndarray, colour_type: int, extra: bytes = b"") -> bytes:
    """A 16-bit PNG written by hand, so that no decoder under test made it."""
    height, width = samples.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + end


def saved(image: Image.Image, suffix: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, suffix, **options)
    return file.getvalue()


def assert_one_line(error: pytest.ExceptionInfo, *parts: str) -> None:
    assert isinstance(error.value, UserError)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_png_round_trip_makes_folders_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "folder" / "photo.png"
    write_png(path, PHOTO)
    np.testing.assert_array_equal(read_image(path), PHOTO)
    assert image_size(path) == (64, 96)
    write_png(path, PHOTO[:, ::-1])  # over an existing file
    np.testing.assert_array_equal(read_image(str(path)), PHOTO[:, ::-1])
    assert [p.name for p in path.parent.iterdir()] == ["photo.png"]


@pytest.mark.parametrize("image", [PHOTO / 255, PHOTO[..., 0], PHOTO[:0], np.dstack([PHOTO, PHOTO[..., 0]])])
def test_write_png_refuses_other_arrays(tmp_path, image):
    with pytest.raises(ValueError, match="uint8 HWC RGB"):
        write_png(tmp_path / "a.png", image)


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_temporary(tmp_path, monkeypatch):
    path = tmp_path / "photo.png"
    write_png(path, PHOTO)

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(ImageError) as error:
        write_png(path, PHOTO[::-1])
    assert_one_line(error, str(path), "No space left on device")
    np.testing.assert_array_equal(read_image(path), PHOTO)
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_write_below_a_file_is_an_image_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError) as error:
        write_png(tmp_path / "file" / "photo.png", PHOTO)
    assert_one_line(error, "photo.png")


def test_result_is_writable_and_contiguous():
    image = decode_image(saved(Image.fromarray(PHOTO), "PNG"), "photo")
    assert image.flags.writeable and image.flags.c_contiguous


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_grey_becomes_three_equal_channels(format):
    grey = PHOTO[..., 1]
    image = decode_image(saved(Image.fromarray(grey), format), "grey")
    np.testing.assert_array_equal(image, np.repeat(grey[..., None], 3, axis=2))


def test_one_bit_becomes_black_and_white():
    bits = PHOTO[..., 1] > 100
    image = decode_image(saved(Image.fromarray(bits), "PNG"), "bits")
    np.testing.assert_array_equal(image, np.repeat(bits[..., None], 3, axis=2) * np.uint8(255))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_blended_over_white(mode):
    alpha = RNG.integers(0, 256, PHOTO.shape[:2], dtype=np.uint8)
    alpha[0, :2] = 0, 255
    pillow = Image.fromarray(PHOTO).convert(mode)
    pillow.putalpha(Image.fromarray(alpha))
    colour = np.asarray(pillow.convert("RGBA"))[..., :3]
    share = alpha[..., None] / 255.0
    expected = np.floor(colour * share + 255 * (1 - share) + 0.5)
    np.testing.assert_array_equal(decode_image(saved(pillow, "PNG"), "alpha"), expected)


def test_opaque_alpha_changes_nothing():
    pillow = Image.fromarray(PHOTO).convert("RGBA")
    np.testing.assert_array_equal(decode_image(saved(pillow, "PNG"), "opaque"), PHOTO)


def test_transparent_palette_entry_becomes_white():
    pillow = Image.fromarray(PHOTO).quantize(16)
    index = np.asarray(pillow)
    expected = np.array(pillow.convert("RGB"))
    expected[index == 3] = 255
    np.testing.assert_array_equal(decode_image(saved(pillow, "PNG", transparency=3), "palette"), expected)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png(colour_type, channels):
    samples = RNG.integers(0, 65536, (9, 14, channels), dtype=np.uint16)
    samples[0, 0], samples[0, 1] = 0, 65535
    colour, alpha = (samples[..., :-1], samples[..., -1:]) if channels % 2 == 0 else (samples, 65535)
    share = alpha / 65535.0
    blended = np.floor(colour * share + 65535 * (1 - share) + 0.5)
    expected = np.broadcast_to(np.floor(blended / 257 + 0.5), (9, 14, 3))
    np.testing.assert_array_equal(decode_image(png16(samples, colour_type), "deep"), expected)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)])
def test_sixteen_bit_png_with_a_transparent_colour(colour_type, channels):
    samples = RNG.integers(0, 65536, (9, 14, channels), dtype=np.uint16)
    data = png16(samples, colour_type, chunk(b"tRNS", samples[2, 3].astype(">u2").tobytes()))
    expected = np.floor(np.broadcast_to(samples, (9, 14, 3)) / 257 + 0.5)
    expected[2, 3] = 255
    np.testing.assert_array_equal(decode_image(data, "deep"), expected)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bit_tiff(channels):
    samples = RNG.integers(0, 65536, (9, 14, channels), dtype=np.uint16)
    if channels == 4:
        samples[..., 3] = 65535
    data = cv2.imencode(".tiff", samples)[1].tobytes()
    expected = np.broadcast_to(np.floor(samples[..., 2::-1] / 257 + 0.5), (9, 14, 3))
    np.testing.assert_array_equal(decode_image(data, "deep"), expected)


def test_sixteen_bit_tiff_where_white_is_zero():
    grey = Image.fromarray(np.array([[0, 65535, 257 * 40]], np.uint16))
    data = saved(grey, "TIFF", tiffinfo={262: 0})
    np.testing.assert_array_equal(decode_image(data, "grey")[..., 0], [[255, 0, 215]])


def test_sixteen_bit_grey_ppm():
    data = b"P5 3 1 65535\n" + np.array([0, 65535, 257 * 40], ">u2").tobytes()
    np.testing.assert_array_equal(decode_image(data, "grey")[..., 1], [[0, 255, 40]])


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_deeper_samples_are_refused(dtype):
    data = saved(Image.fromarray(PHOTO[..., 0].astype(dtype)), "TIFF")
    with pytest.raises(ImageError) as error:
        decode_image(data, "deep.tif")
    assert_one_line(error, "deep.tif", "32 bits", "convert")


def test_sixteen_bit_layout_without_a_treatment_is_refused(tmp_path):
    planes = RNG.integers(0, 65536, (3, 9, 14), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(ImageError) as error:
        read_image(tmp_path / "planes.tif")
    assert_one_line(error, "planes.tif", "convert")


def test_cmyk_is_converted_by_pillow():
    data = saved(Image.fromarray(PHOTO).convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, "cmyk"), expected)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, format, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    lossless = {"lossless": True} if format == "WEBP" else {}
    path = tmp_path / f"turned.{format}"
    path.write_bytes(saved(Image.fromarray(PHOTO), format, exif=exif, **lossless))
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2] == ((64, 96) if orientation < 5 else (96, 64))


def test_exif_orientation_of_sixteen_bits():
    exif = Image.Exif()
    exif[274] = 6
    samples = RNG.integers(0, 65536, (9, 14, 3), dtype=np.uint16)
    data = png16(samples, 2, chunk(b"eXIf", exif.tobytes()[6:]))
    expected = np.rot90(np.floor(samples / 257 + 0.5), -1)
    np.testing.assert_array_equal(decode_image(data, "turned"), expected)


@pytest.mark.parametrize("format", ["GIF", "TIFF", "PNG", "WEBP"])
def test_first_frame_of_several(format):
    first, second = Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1, ::-1])
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = saved(first, format, save_all=True, append_images=[second], **lossless)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    expected = np.asarray(Image.open(io.BytesIO(saved(first, format, **lossless))).convert("RGB"))
    np.testing.assert_array_equal(decode_image(data, "frames"), expected)


def test_more_than_max_pixels_is_refused_from_the_header(tmp_path):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    for read in (read_image, image_size):
        with pytest.raises(ImageError) as error:
            read(path)
        assert_one_line(error, "bomb.png", "60000x60000", "200,000,000")


def test_max_pixels_counts_to_the_pixel():
    data = saved(Image.fromarray(PHOTO), "PNG")
    assert decode_image(data, "photo", max_pixels=64 * 96).shape == (64, 96, 3)
    with pytest.raises(ImageError, match="96x64"):
        decode_image(data, "photo", max_pixels=64 * 96 - 1)


def test_our_limit_not_pillows(tmp_path, recwarn):
    limit = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "wide.png"
    Image.new("1", (19000, 10000)).save(path)  # 190 million: Pillow alone raises above 179 million
    assert image_size(path) == (10000, 19000)
    assert not recwarn.list
    assert limit == Image.MAX_IMAGE_PIXELS


def test_files_that_are_no_image(tmp_path):
    empty, text, missing = tmp_path / "empty.png", tmp_path / "text.jpg", tmp_path / "missing.png"
    empty.write_bytes(b"")
    text.write_text("this is no photograph\n" * 20)
    for path, part in (
        (empty, "empty"),
        (text, "not an image"),
        (missing, "no such"),
        (tmp_path, "directory"),
    ):
        for read in (read_image, image_size):
            with pytest.raises(ImageError) as error:
                read(path)
            assert_one_line(error, str(path), part)


LOSSLESS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 90}, "AVIF": {"quality": 60}}
WHOLE = {
    format: saved(Image.fromarray(PHOTO), format, **LOSSLESS.get(format, {}))
    for format in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "AVIF", "PPM")
} | {"PNG16": png16(RNG.integers(0, 65536, (9, 14, 3), dtype=np.uint16), 2)}


@pytest.mark.parametrize("format", WHOLE)
def test_files_cut_short(tmp_path, format):
    whole = WHOLE[format]
    path = tmp_path / "cut.png"
    image_end = 24 if format.startswith("PNG") else 0  # checksums and the empty last chunk
    for length in np.linspace(1, len(whole) - image_end - 1, 40, dtype=int):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError) as error:
            read_image(path)
        assert_one_line(error, "cut.png")


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damaged_files_are_read_or_refused_with_one_line(format, data):
    damaged = bytearray(WHOLE[format])
    for position in data.draw(st.lists(st.integers(0, min(len(damaged), 400) - 1), min_size=1, max_size=4)):
        damaged[position] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(damaged), "damaged", max_pixels=10_000_000)
    except ImageError as error:
        assert "damaged" in str(error) and "\n" not in str(error)
    else:
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_only_the_given_formats_are_accepted():
    with pytest.raises(ImageError, match="not an image"):
        decode_image(WHOLE["PNG"], "photo", formats=("JPEG",))


def test_list_images(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.webp", "10.tiff", "9.bmp", ".hidden.png", "notes.txt", "d.avif"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == [
        "10.tiff",
        "9.bmp",
        "a.jpg",
        "b.PNG",
        "c.webp",
        "d.avif",
    ]
    assert list_images(str(tmp_path))[0] == tmp_path / "10.tiff"


def test_list_images_of_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    for name, part in (("empty", "no images"), ("missing", "no such folder"), ("file", "folder of images")):
        with pytest.raises(ImageError) as error:
            list_images(tmp_path / name)
        assert_one_line(error, str(tmp_path / name), part)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_pillows_limit_holds_back_no_tiff_below_ours(tmp_path, monkeypatch, compression):
    Image.fromarray(PHOTO).save(tmp_path / "large.tif", compression=compression)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses more than twice as many
    np.testing.assert_array_equal(read_image(tmp_path / "large.tif"), PHOTO)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_pillows_limit_holds_back_no_jpeg_below_ours(tmp_path, monkeypatch, options):
    flat = np.full((40, 48, 3), 128, np.uint8)  # looked at twice, as what a cut leaves is flat too
    Image.fromarray(flat).save(tmp_path / "large.jpg", **options)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    np.testing.assert_array_equal(read_image(tmp_path / "large.jpg"), flat)


def test_pillows_limit_comes_back_after_threads_that_overlap(tmp_path):
    paths = []
    for n in range(8):
        paths.append(tmp_path / f"{n}.png")
        write_png(paths[-1], PHOTO)
    limit = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_image, paths * 4))
    assert limit is not None and limit == Image.MAX_IMAGE_PIXELS


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for read in (read_image, image_size):
        with pytest.raises(ImageError, match=r"pipe\.png: a pipe or device"):
            read(tmp_path / "pipe.png")
