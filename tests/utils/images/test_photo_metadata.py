"""photos: what belongs to the pixels comes back: colour profile, EXIF, XMP, and what PNG and AVIF say of colours."""

import struct

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image, ImageCms

from tests.utils.images.files import GREY, PHOTO
from utils.images import read_image
from utils.images.photo_writer import LONGEST_SIDE, write_photo
from utils.images.photos import Photo, read_photo
from utils.images.png_chunks import chunk

RNG = np.random.default_rng(0)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile(space: bytes) -> bytes:
    """A header that says what it is for; Pillow does not look further."""
    return SRGB[:16] + space + SRGB[20:]


def test_cmyk_is_converted_by_pillow_or_by_its_profile(file, monkeypatch):
    image = Image.fromarray(PHOTO).convert("CMYK")
    plain = read_photo(file(image, "jpg", quality=95))
    with Image.open(file(image, "jpg", quality=95)) as again:
        np.testing.assert_array_equal(plain.pixels, np.asarray(again.convert("RGB")))
    damaged = read_photo(file(image, "jpg", quality=95, icc_profile=b"no profile at all"))
    np.testing.assert_array_equal(damaged.pixels, plain.pixels)
    assert damaged.icc is None and "without its colour profile" in damaged.notes[0]
    # No CMYK profile may be shipped: what it does is Little CMS's matter, that it is asked is ours.
    asked = []

    def convert(image, profile, to, outputMode):
        asked.append((image.mode, outputMode, ImageCms.getProfileName(to).strip()))
        return Image.new(outputMode, image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    photo = read_photo(file(image, "jpg", icc_profile=SRGB))
    assert asked == [("CMYK", "RGB", "sRGB built-in")]
    assert (photo.pixels == [1, 2, 3]).all() and photo.icc is None and not photo.notes


@pytest.mark.parametrize("out", sorted(LONGEST_SIDE))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_that_lasts_is_kept_and_the_rest_is_not(file, tmp_path, suffix, out):
    exif = Image.Exif()
    exif.update({271: "Maker", 306: "2024:05:06 07:08:09", 274: 6, 256: 96, 257: 64})
    exif[0x8769] = {0x9003: "2024:05:06 07:08:09", 0x829D: 2.8, 0x927C: b"notes", 0xA002: 96, 0xA003: 64}
    exif[0x8825] = {1: "N", 2: (51.0, 30.0, 0.0)}
    read = Image.Exif()
    read.load(exif.tobytes())  # Pillow's TIFF writer takes sub-directories from bytes alone
    photo = read_photo(file(PHOTO, suffix, exif=read))
    assert photo.notes == ()
    write_photo(tmp_path / f"out{out}", photo)
    with Image.open(tmp_path / f"out{out}") as image:
        found = image.getexif()
        details, place = found.get_ifd(0x8769), found.get_ifd(0x8825)
    assert found[271] == "Maker" and found.get(274, 1) == 1 and not {256, 257} & set(found)
    assert details[0x9003] == "2024:05:06 07:08:09" and float(details[0x829D]) == pytest.approx(2.8)
    assert not {0x927C, 0xA002, 0xA003} & set(details)
    assert place[1] == "N" and [float(part) for part in place[2]] == [51, 30, 0]


@pytest.mark.parametrize("out", sorted(LONGEST_SIDE))
def test_profiles_that_fit_are_kept(file, tmp_path, out):
    photo = read_photo(file(PHOTO, icc_profile=SRGB))
    assert photo.icc == SRGB
    write_photo(tmp_path / f"out{out}", photo)
    with Image.open(tmp_path / f"out{out}") as image:
        image.load()
        assert image.info["icc_profile"] == SRGB
    grey = read_photo(file(GREY, icc_profile=profile(b"GRAY")))
    assert grey.icc and not grey.notes
    write_photo(tmp_path / f"grey{out}", grey)
    with Image.open(tmp_path / f"grey{out}") as image:
        assert ("icc_profile" in image.info) == (out != ".webp")


@pytest.mark.parametrize(
    ("pixels", "icc"), [(PHOTO, profile(b"GRAY")), (GREY, SRGB), (PHOTO, b"short"), (PHOTO, SRGB[:100])]
)
def test_profiles_that_do_not_fit_are_left_out_with_a_note(file, pixels, icc):
    photo = read_photo(file(pixels, icc_profile=icc))
    assert photo.icc is None and "colour profile" in photo.notes[0]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_costs_the_exif_alone(file):
    path = file(PHOTO, "jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xff" * 60)
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.pixels, read_image(path))


AUTHOR = "© 2024 Zoë Müller"


STAND_IN = b"A" * len(AUTHOR.encode())

"""As long: Pillow would write each letter that is not ASCII as a question mark."""


@pytest.mark.parametrize("out", sorted(LONGEST_SIDE))
@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif", "png", "tif"])
def test_an_author_of_any_letters_is_kept_in_exif_and_xmp(file, tmp_path, suffix, out):
    packet = f'<x:xmpmeta><a dc:creator="{AUTHOR}" tiff:Orientation="6"/></x:xmpmeta>'.encode()
    exif = Image.Exif()
    exif[315], exif[274] = STAND_IN.decode(), 6
    if suffix == "tif":
        path = file(PHOTO, suffix, tiffinfo={315: STAND_IN.decode(), 274: 6, 700: packet})
    else:
        path = file(PHOTO, suffix, exif=exif, xmp=packet)
    data = path.read_bytes()
    if suffix == "png":  # its checksums want chunks written by hand, and Pillow writes no XMP there
        plain = file(PHOTO, suffix).read_bytes()
        block = chunk(b"eXIf", exif.tobytes()[6:].replace(STAND_IN, AUTHOR.encode()))
        data = plain[:33] + block + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet) + plain[33:]
    path.write_bytes(data.replace(STAND_IN, AUTHOR.encode()))
    photo = read_photo(path)
    assert AUTHOR.encode() in photo.exif and AUTHOR.encode() in photo.xmp and photo.notes == ()
    assert photo.pixels.shape == (96, 64, 3)
    turned = b"" if suffix == "tif" else b'tiff:Orientation="1"'  # Pillow takes it out of TIFF's
    assert photo.xmp == packet.replace(b'tiff:Orientation="6"', turned)
    assert write_photo(tmp_path / f"out{out}", photo) == ()
    again = read_photo(tmp_path / f"out{out}")
    assert again.exif == photo.exif and again.xmp == photo.xmp
    assert again.pixels.shape == (96, 64, 3)  # not turned once more
    assert (tmp_path / f"out{out}").read_bytes().count(AUTHOR.encode()) == 2


def test_an_avif_that_another_library_reads_keeps_its_author(file, monkeypatch):
    """Old versions of pillow-heif put a reader of their own in the place of Pillow's."""

    class OfAnotherLibrary(AvifImagePlugin.AvifImageFile):
        pass

    exif = Image.Exif()
    exif[315] = "Zoe"
    path = file(PHOTO, "avif", exif=exif)
    monkeypatch.setattr("utils.images.photos.AvifImageFile", OfAnotherLibrary)
    assert b"Zoe" in read_photo(path).exif


def test_xmp_that_has_no_room_is_left_out_with_a_note(tmp_path):
    photo = Photo(PHOTO, xmp=b"<x>" + b" " * 70_000 + b"</x>")
    (note,) = write_photo(tmp_path / "a.jpg", photo)
    assert "XMP" in note and "png" in note and read_photo(tmp_path / "a.jpg").xmp is None
    for suffix in ("png", "webp", "avif"):  # what the note advises
        assert write_photo(tmp_path / f"a.{suffix}", photo) == ()
        assert read_photo(tmp_path / f"a.{suffix}").xmp == photo.xmp


LINEAR, PRIMARIES = (
    struct.pack(">I", 100_000),
    struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000),
)


@pytest.mark.parametrize(
    ("colours", "lost"),
    [
        ({b"gAMA": LINEAR}, "gAMA"),
        ({b"gAMA": struct.pack(">I", 45455), b"cHRM": PRIMARIES}, "cHRM"),
        ({b"cICP": bytes([12, 13, 0, 1])}, "cICP"),
        ({b"cICP": bytes([9, 16, 0, 1]), b"cLLI": bytes(8)}, "cICP"),
        ({b"sRGB": b"\0", b"gAMA": struct.pack(">I", 45455)}, None),
        ({b"cICP": bytes([1, 13, 0, 1])}, None),
        ({}, None),
    ],
)
def test_what_is_said_of_the_colours_is_kept_by_png_and_noted_by_others(file, tmp_path, colours, lost):
    path = file(PHOTO)
    data = path.read_bytes()
    path.write_bytes(data[:33] + b"".join(chunk(name, value) for name, value in colours.items()) + data[33:])
    photo = read_photo(path)
    assert dict(photo.colours) == colours and photo.notes == ()
    assert write_photo(tmp_path / "out.png", photo) == ()
    assert dict(read_photo(tmp_path / "out.png").colours) == colours
    for suffix in ("jpg", "webp", "avif"):
        notes = write_photo(tmp_path / f"out.{suffix}", photo)
        assert (lost in notes[0] and "write png" in notes[0]) if lost else notes == ()


def test_an_avif_files_wide_colours_are_kept_by_png(file, tmp_path):
    path = file(PHOTO, "avif")
    assert read_photo(path).colours == ()
    data = path.read_bytes()
    place = data.index(b"nclx") + 4
    path.write_bytes(data[:place] + struct.pack(">HH", 12, 13) + data[place + 4 :])
    photo = read_photo(path)
    assert photo.colours == ((b"cICP", bytes([12, 13, 0, 1])),)
    assert "cICP" in write_photo(tmp_path / "out.jpg", photo)[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_with_alpha_keeps_its_profile_and_both_channels(tmp_path, dtype):
    top = np.iinfo(dtype).max
    grey = RNG.integers(0, top + 1, (9, 14), dtype)
    alpha = RNG.integers(1, top + 1, (9, 14), dtype)
    photo = Photo(np.dstack([grey] * 3), alpha, grey=True, icc=profile(b"GRAY"))
    assert write_photo(tmp_path / "a.png", photo) == ()
    assert (tmp_path / "a.png").read_bytes()[25] == 4  # colour type: grey with alpha
    again = read_photo(tmp_path / "a.png")
    np.testing.assert_array_equal(again.pixels, photo.pixels)
    np.testing.assert_array_equal(again.alpha, alpha)
    assert again.grey and again.icc == photo.icc
    (note,) = write_photo(tmp_path / "a.webp", photo)
    assert "profile" in note and "icc_profile" not in Image.open(tmp_path / "a.webp").info
