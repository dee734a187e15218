import gzip
import io
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.download import archives
from data.download.archives import ArchiveError, DamagedArchiveError, ImageFolder, unpack
from utils.images import read_image

PIXELS = skimage.data.coffee()
IMAGE = cv2.imencode(".png", PIXELS[:40, :50, ::-1])[1].tobytes()
KINDS = ["a.zip", "a.tar", "a.tgz", "a.tar.gz"]


def pack(path: Path, members: list) -> Path:
    """Write (name, content) pairs; instead of bytes: in a tar a type as text, in a zip a Unix mode."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                if not isinstance(content, bytes):
                    info.external_attr, content = content << 16, b"elsewhere"
                archive.writestr(info, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content.encode(), "/etc/passwd"
                archive.addfile(info)
    return path


def good(folder="HR", count=3):
    return [(f"set/{folder}/{number}.png", IMAGE) for number in range(count)]


def assert_nothing_left(folder: Path, archive: Path):
    assert [entry.name for entry in folder.iterdir()] == [archive.name]


@pytest.mark.parametrize("kind", KINDS)
def test_folders_come_into_place_and_nothing_else(tmp_path, kind):
    other = [
        ("set/readme.txt", b"text"),
        ("set/HR/notes.txt", b"text"),
        ("set/HR/._0.png", b"fork"),
        ("x/", b""),
    ]
    other += [("set/LR/0.png", IMAGE), ("set/HR/deeper/0.png", IMAGE), ("0.png", IMAGE)]
    archive = pack(tmp_path / kind, good() + other + good("GT", 2))
    folders = [ImageFolder("set/HR", tmp_path / "out" / "a", 3), ImageFolder("GT", tmp_path / "b", 2)]
    unpack(archive, folders)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == sorted(
        [kind, "out/a/0.png", "out/a/1.png", "out/a/2.png", "b/0.png", "b/1.png"]
    )
    np.testing.assert_array_equal(read_image(tmp_path / "b" / "1.png"), PIXELS[:40, :50])


def test_an_empty_target_and_leftovers_of_a_killed_run_do_not_disturb(tmp_path):
    archive = pack(tmp_path / "a.zip", good())
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking" / "0.png").write_bytes(b"half")
    unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "out"]
    assert (tmp_path / "out" / "0.png").read_bytes() == IMAGE


def test_a_target_that_is_a_link_is_unpacked_on_the_disk_it_leads_to(tmp_path, monkeypatch):
    (tmp_path / "disk" / "large").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "large")
    seen = []
    monkeypatch.setattr(archives, "image_size", seen.append)
    unpack(pack(tmp_path / "a.zip", good()), [ImageFolder("HR", tmp_path / "out", 3)])
    assert {path.parents[1] for path in seen} == {tmp_path / "disk"}
    assert len(list((tmp_path / "disk" / "large").iterdir())) == 3
    assert (tmp_path / "out").is_symlink()


EVIL_NAMES = [
    "../evil.png",
    "set/HR/../../../evil.png",
    "/evil.png",
    "..\\evil.png",
    "\\evil.png",
    "C:evil.png",
    "..",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVIL_NAMES)
def test_names_that_climb_out_are_refused(tmp_path, kind, name):
    archive = pack(tmp_path / kind, [*good(), (name, IMAGE)])
    with pytest.raises(ArchiveError, match=r"refused, .* outside"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])
    assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = pack(tmp_path / "a.tar", [("set/HR/0.png", kind.decode()), *good()])
    with pytest.raises(ArchiveError, match=r"refused, 'set/HR/0\.png' is a link or a device"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])
    assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    archive = pack(tmp_path / "a.zip", [*good(), ("set/HR/4.png", mode | 0o777)])
    with pytest.raises(ArchiveError, match=r"refused, 'set/HR/4\.png' is a link or a device"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])
    assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive(tmp_path, kind):
    archive = pack(tmp_path / kind, good())
    whole = archive.read_bytes()
    for size in (0, 10, 600, len(whole) // 2, len(whole) - len(whole) // 4):
        archive.write_bytes(whole[:size])
        with pytest.raises(ArchiveError):
            unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])
        assert_nothing_left(tmp_path, archive)


@pytest.mark.parametrize("kind", ["a.zip", "a.tgz"])
def test_a_flipped_bit_fails_the_check_sum(tmp_path, kind):
    stored = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    image = cv2.imencode(".png", stored)[1].tobytes()
    archive = pack(tmp_path / kind, [("HR/0.png", image)])
    damaged = bytearray(archive.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    archive.write_bytes(damaged)
    with pytest.raises(DamagedArchiveError, match=rf"{kind}: damaged"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 1)])
    assert_nothing_left(tmp_path, archive)


def test_the_check_sum_at_the_very_end_of_a_tgz_is_read(tmp_path):
    plain = pack(tmp_path / "a.tar", good()).read_bytes().ljust(archives.CHUNK, b"\0")
    damaged = bytearray(gzip.compress(plain))
    damaged[-5] ^= 1  # the last four bytes are the size, the four before them the CRC
    (tmp_path / "a.tgz").write_bytes(damaged)
    with pytest.raises(DamagedArchiveError, match="CRC"):
        unpack(tmp_path / "a.tgz", [ImageFolder("HR", tmp_path / "out", 3)])


def test_a_zip_that_announces_more_than_it_holds(tmp_path):
    archive = pack(tmp_path / "a.zip", [("HR/0.png", IMAGE)])
    data = bytearray(archive.read_bytes())
    at = data.find(b"PK\x01\x02") + 24  # the size in the central directory
    data[at : at + 4] = (len(IMAGE) + 1).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(DamagedArchiveError, match=r"'HR/0\.png' is cut short"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 1)])


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_page_in_place_of_the_archive(tmp_path, kind):
    archive = tmp_path / kind
    archive.write_text("<html>Not here any more</html>" * 100)
    with pytest.raises(DamagedArchiveError, match="not an archive"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])


def test_an_encrypted_zip(tmp_path):
    archive = pack(tmp_path / "a.zip", good())
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            data[at + offset] |= 1
    archive.write_bytes(data)
    with pytest.raises(DamagedArchiveError, match="encrypted"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_images(tmp_path, kind, count):
    archive = pack(tmp_path / kind, good())
    with pytest.raises(ArchiveError, match=f"3 images in HR, expected 4|more than the {count} images"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", count)])
    assert_nothing_left(tmp_path, archive)


def test_no_folder_comes_into_place_unless_all_do(tmp_path):
    archive = pack(tmp_path / "a.zip", good() + good("GT", 2))
    with pytest.raises(ArchiveError, match="2 images in GT, expected 5"):
        unpack(archive, [ImageFolder("HR", tmp_path / "a", 3), ImageFolder("GT", tmp_path / "b", 5)])
    assert_nothing_left(tmp_path, archive)


def test_a_file_that_is_no_image(tmp_path):
    archive = pack(tmp_path / "a.zip", [*good(count=2), ("HR/fake.png", b"MZ not an image")])
    with pytest.raises(ArchiveError, match=r"HR/fake\.png in it is not an image"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 3)])
    assert_nothing_left(tmp_path, archive)


def test_two_members_of_one_name(tmp_path):
    archive = pack(tmp_path / "a.tar", [("a/HR/0.png", IMAGE), ("b/HR/0.png", IMAGE)])
    with pytest.raises(ArchiveError, match=r"two members are called '0\.png'"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 2)])


@pytest.mark.parametrize("kind", ["a.zip", "a.tgz"])
@pytest.mark.parametrize("name", ["HR/0.png", "not_wanted.bin"])
def test_a_bomb(tmp_path, kind, name):
    archive = pack(tmp_path / kind, [(name, bytes(24 << 20))])
    assert archive.stat().st_size < 1 << 16
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 1)])
    assert_nothing_left(tmp_path, archive)


def test_a_bomb_in_the_headers_of_a_tar(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 64 << 20
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz") as opened:
        opened.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        unpack(archive, [ImageFolder("HR", tmp_path / "out", 1)])


def attempt(box: Path, archive: Path, count: int):
    """Unpack inside `box` and check the promise: the module's own error, or images under the target alone."""
    before = set(box.rglob("*"))
    try:
        unpack(archive, [ImageFolder("HR", box / "in" / "target", count)])
    except ArchiveError as error:
        assert "\n" not in str(error)
        assert set(box.rglob("*")) - before <= {box / "in"}
        return
    new = {path for path in box.rglob("*") if path.is_file() or path.is_symlink()} - before
    assert len(new) == count
    assert all(path.parent == box / "in" / "target" and not path.is_symlink() for path in new)


any_names = st.lists(
    st.sampled_from(["HR", "..", ".", "", "a", "0.png", "x.PNG", "/", "\\", "C:", "\0", "é", "\udcff", "~", "a" * 300])
    | st.text(max_size=8),
    min_size=1,
    max_size=5,
).map("/".join)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(KINDS[:3]),
    names=st.lists(any_names | st.sampled_from(["HR/0.png", "HR/1.png"]), max_size=4),
    count=st.integers(0, 2),
)
@example(kind="a.tar", names=["HR/" + "a" * 300 + ".png"], count=1)
def test_members_of_any_name_stay_inside(kind, names, count):
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder)
        try:
            archive = pack(box / kind, [(name, IMAGE) for name in names])
        except (ValueError, UnicodeError, tarfile.TarError):
            return  # the standard library cannot write such a name
        attempt(box, archive, count)


@settings(deadline=None, max_examples=200)
@given(
    kind=st.sampled_from(KINDS[:3]),
    edits=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.integers(0, 1 << 20),
)
def test_archives_damaged_anyhow_raise_the_modules_error(kind, edits, cut):
    with tempfile.TemporaryDirectory() as folder:
        box = Path(folder)
        archive = pack(box / kind, good(count=2))
        data = bytearray(archive.read_bytes())
        for position, value in edits:  # half of them in the headers, at the ends of the file
            at = position % len(data) if position % 2 else position % 700 - 350
            data[at % len(data)] = value
        archive.write_bytes(data[: cut % (2 * len(data)) or 1])
        attempt(box, archive, 2)
