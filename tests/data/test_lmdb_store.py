import builtins
import tracemalloc
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from data.lmdb_store import LmdbError, import_pair, pair_keys, read_lmdb, read_meta
from utils.errors import UserError

ASTRONAUT = skimage.data.astronaut()


def images(sizes=((40, 56), (33, 24), (16, 16))):
    """A few RGB images whose channels differ, by key."""
    return {f"{i:04d}_s001": ASTRONAUT[i : i + h, i : i + w].copy() for i, (h, w) in enumerate(sizes, 1)}


def build(folder: Path, contents: dict, *, meta=None, suffix=".png") -> Path:
    """An LMDB folder as SubjectiveQE-ESRGAN's script makes it: cv2 encodes BGR; bytes are stored as they are."""
    environment = lmdb.open(str(folder), map_size=1 << 24)
    lines = []
    with environment.begin(write=True) as transaction:
        for key, image in contents.items():
            value = image
            if isinstance(image, np.ndarray):
                bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
                value = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
                lines.append(f"{key}{suffix} ({image.shape[0]},{image.shape[1]},3) 1")
            transaction.put(key.encode(), value)
    environment.close()
    text = "\n".join(lines) + "\n" if meta is None else meta
    (folder / "meta_info.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("suffix", [".png", ""])
def test_reads_rgb_in_the_order_of_the_list(tmp_path, suffix):
    wanted = images()
    folder = build(tmp_path / "gt.lmdb", wanted, suffix=suffix)
    found = list(read_lmdb(folder))
    assert [key for key, _ in found] == list(wanted)
    for key, image in found:
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, wanted[key])


def test_import_pair_gives_both_images_of_each_key(tmp_path):
    gt, lq = images(), {key: 255 - image for key, image in images().items()}
    one, two = build(tmp_path / "gt.lmdb", gt), build(tmp_path / "lq.lmdb", lq)
    assert pair_keys(one, two) == {key: image.shape[:2] for key, image in gt.items()}
    pairs = list(import_pair(one, two))
    assert [key for key, _, _ in pairs] == list(gt)
    for key, truth, compressed in pairs:
        np.testing.assert_array_equal(truth, gt[key])
        np.testing.assert_array_equal(compressed, lq[key])


def test_import_pair_checks_before_the_first_image_is_asked_for(tmp_path):
    one = build(tmp_path / "gt.lmdb", images())
    with pytest.raises(LmdbError, match=r"lq\.lmdb/meta_info\.txt: missing"):
        import_pair(one, tmp_path / "lq.lmdb")


def test_a_key_on_one_side_only(tmp_path):
    some = images()
    fewer = dict(list(some.items())[1:])
    one, two = build(tmp_path / "gt.lmdb", some), build(tmp_path / "lq.lmdb", fewer)
    for pair in ((one, two), (two, one)):
        with pytest.raises(LmdbError, match=rf"'0001_s001' is in {one} and not in {two} \(1 such"):
            pair_keys(*pair)


def test_sizes_that_differ_between_the_two(tmp_path):
    one = build(tmp_path / "gt.lmdb", images())
    two = build(tmp_path / "lq.lmdb", images(((40, 56), (33, 25), (16, 16))))
    with pytest.raises(LmdbError, match=r"lq\.lmdb: key '0002_s001' is 33x25 pixels, but 33x24 in .*gt\.lmdb"):
        pair_keys(one, two)


def test_the_same_folder_twice(tmp_path):
    one = build(tmp_path / "gt.lmdb", images())
    with pytest.raises(LmdbError, match="both halves of the pair"):
        pair_keys(one, tmp_path / "." / "gt.lmdb")


def test_list_and_data_that_disagree(tmp_path):
    listed_only = build(tmp_path / "a.lmdb", images(), meta="0009.png (8,8,3) 1\n")
    with pytest.raises(LmdbError, match=r"'0009' is in .*meta_info\.txt and not in .*data\.mdb"):
        list(read_lmdb(listed_only))
    held_only = build(tmp_path / "b.lmdb", images(), meta="0001_s001.png (40,56,3) 1\n")
    with pytest.raises(LmdbError, match=r"'0002_s001' is in .*data\.mdb and not in .*\(2 such"):
        list(read_lmdb(held_only))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0001.png", "expected 'KEY"),
        ("0001.png (8,8) 1", "expected 'KEY"),
        ("0001.png (8,8,3)", "expected 'KEY"),
        ("0001.png (-8,8,3) 1", "expected 'KEY"),
        ("0001.png (8,8,3) one", "expected 'KEY"),
        ("0001.png (8,8,1) 1", "1 channels"),
        ("0001.png (0,8,3) 1", "0x8 pixels"),
        ("0001.png (999999,999999,3) 1", "the limit is"),
        ("../0001.png (8,8,3) 1", "cannot become a file name"),
        ("/0001.png (8,8,3) 1", "cannot become a file name"),
        ("a/0001.png (8,8,3) 1", "cannot become a file name"),
        ("a\\0001.png (8,8,3) 1", "cannot become a file name"),
        ("a..b.png (8,8,3) 1", "cannot become a file name"),
        (".hidden.png (8,8,3) 1", "cannot become a file name"),
        (".png (8,8,3) 1", "cannot become a file name"),
        ("good.png (8,8,3) 1", "listed twice"),
    ],
)
def test_lines_that_are_refused_name_file_and_line(tmp_path, line, reason):
    (tmp_path / "meta_info.txt").write_text(f"good.png (8,8,3) 1\n{line}\n", encoding="utf-8")
    with pytest.raises(LmdbError, match=r"meta_info\.txt:2: ") as caught:
        read_meta(tmp_path)
    assert reason in str(caught.value)


def test_an_empty_list(tmp_path):
    (tmp_path / "meta_info.txt").write_text("\n")
    with pytest.raises(LmdbError, match="lists no images"):
        read_meta(tmp_path)


@settings(deadline=None)
@given(st.binary(max_size=120) | st.text(max_size=60).map(lambda text: f"{text}.png (8,8,3) 1".encode()))
def test_any_list_gives_plain_names_or_the_modules_error(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp() / "any.lmdb"
    folder.mkdir(exist_ok=True)
    (folder / "meta_info.txt").write_bytes(text)
    try:
        keys = read_meta(folder)
    except LmdbError as error:
        assert "\n" not in str(error)
        return
    for key in keys:
        assert (folder / f"{key}.png").parent == folder
        assert (folder / f"{key}.png").resolve().parent == folder.resolve()


def test_bytes_that_are_no_png(tmp_path):
    jpeg = cv2.imencode(".jpg", ASTRONAUT[:8, :8])[1].tobytes()
    png = cv2.imencode(".png", ASTRONAUT[:64, :64])[1].tobytes()
    for name, value in (("jpeg", jpeg), ("text", b"hello"), ("empty", b""), ("cut", png[: len(png) // 2])):
        folder = build(tmp_path / f"{name}.lmdb", {"0001": value}, meta="0001.png (64,64,3) 1\n")
        with pytest.raises(LmdbError, match=rf"{name}\.lmdb: key '0001'"):
            list(read_lmdb(folder))


def test_a_size_that_contradicts_the_list(tmp_path):
    folder = build(tmp_path / "gt.lmdb", {"0001": ASTRONAUT[:8, :10]}, meta="0001.png (10,8,3) 1\n")
    with pytest.raises(LmdbError, match=r"'0001' holds 8x10 pixels, but meta_info\.txt says 10x8"):
        list(read_lmdb(folder))


def test_a_missing_or_damaged_data_file(tmp_path):
    folder = build(tmp_path / "gt.lmdb", images())
    data = folder / "data.mdb"
    whole = data.read_bytes()
    for size in (0, 10, 4096, 8192, len(whole) - 4096):  # cut inside the mapped pages: no bus error
        data.write_bytes(whole[:size])
        with pytest.raises(LmdbError, match=r"data\.mdb: (cannot be opened|cut short)"):
            list(read_lmdb(folder))
    data.write_bytes(b"x" * 20000)
    with pytest.raises(LmdbError, match=r"data\.mdb: cannot be opened"):
        list(read_lmdb(folder))
    data.unlink()
    with pytest.raises(LmdbError, match=r"data\.mdb: missing"):
        list(read_lmdb(folder))


def test_without_the_package_the_error_names_it(tmp_path, monkeypatch):
    folder = build(tmp_path / "gt.lmdb", images())
    imported = builtins.__import__

    def no_lmdb(name, *args, **kwargs):
        if name == "lmdb":
            raise ModuleNotFoundError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_lmdb)
    with pytest.raises(UserError, match="pip install 'lmdb"):
        list(read_lmdb(folder))


def test_a_size_that_contradicts_the_list_is_refused_before_the_image_takes_memory(tmp_path):
    large = cv2.imencode(".png", np.zeros((4000, 4000, 3), np.uint8))[1].tobytes()
    folder = build(tmp_path / "gt.lmdb", {"0001": large}, meta="0001.png (8,8,3) 1\n")
    tracemalloc.start()
    with pytest.raises(LmdbError, match=r"'0001' holds 4000x4000 pixels, but meta_info\.txt says 8x8"):
        list(read_lmdb(folder))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
