"""utils.images: what every kind of file becomes, what is written, and which files of a folder are images."""

import io

import cv2
import numpy as np
import pytest
import tifffile  # comes with scikit-image
from PIL import Image, ImageOps

from tests.utils.images.files import PHOTO, assert_one_line, chunk, png16, saved
from utils.images import ImageError, decode_image, image_size, list_images, read_image, write_png

RNG = np.random.default_rng(0)


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
