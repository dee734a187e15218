"""evaluation.restoring.photo_files: mixed folders, clashing names, outputs among photos; nothing is left out unsaid."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.restoring.photo_files import find_jobs
from utils.errors import UserError
from utils.optional_formats import REQUIREMENTS, readable

ROOT = Path(__file__).parents[3]
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)


@pytest.fixture
def folder(tmp_path):
    """Makes files of these names, each as a JPEG begins, and returns their folder."""

    def make(*names: str, content: bytes = JPEG) -> Path:
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "in"

    return make


def targets(found) -> dict[str, str]:
    return {job.source.name: job.target.name for job in found.jobs}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "b.png"], ["a.png", "b.png"]),
        (["a.jpg", "a.webp"], ["a_jpg.png", "a_webp.png"]),
        (["IMG_1.JPG", "IMG_1.jpg", "z.jpg"], ["IMG_1_jpg.png", "IMG_1_jpg_2.png", "z.png"]),
        (["a.jpg", "a.png", "a_jpg.png"], ["a_jpg_2.png", "a_png.png", "a_jpg.png"]),
        (["e\u0301.jpg", "\u00e9.jpg"], ["e\u0301_jpg.png", "\u00e9_jpg_2.png"]),
        (["a.jpe", "b.jfif", "c.pgm", "d.pnm", "noext"], ["a.png", "b.png", "c.png", "d.png", "noext.png"]),
    ],
)
def test_every_photo_gets_a_file_of_its_own(folder, tmp_path, names, expected):
    found = find_jobs([str(folder(*names))], tmp_path / "out", ".png")
    assert targets(found) == dict(zip(names, expected)) and not found.said() and not found.unreadable


@settings(max_examples=60, deadline=None)
@given(st.sets(st.text("aA_12", min_size=1, max_size=4).flatmap(lambda stem: st.sampled_from(
    [f"{stem}.jpg", f"{stem}.JPG", f"{stem}.png", f"{stem}_jpg.png"])), min_size=1, max_size=12))  # fmt: skip
def test_names_of_one_folder_never_clash(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / name).write_bytes(JPEG)
    found = find_jobs([str(folder)], folder / "out", ".png")
    assert set(targets(found)) == names
    assert len({str(job.target).casefold() for job in found.jobs}) == len(names)
    assert found == find_jobs([str(folder)], folder / "out", ".png")  # a run that goes on finds what is there


def test_what_is_passed_over_is_said_on_one_line_with_the_reason(folder, tmp_path):
    place = folder("a.jpg", "b.jp2", "c.CR2", "notes.txt", "more.pdf", ".hidden.png", "iphone.HEIC", "x.jxl")
    folder("text", content=b"no photo")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/d.jpg").write_bytes(JPEG)
    (place / "album").symlink_to(tmp_path / "elsewhere")
    (place / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(place / "pipe.jpg")
    found = find_jobs([str(place)], tmp_path / "out", ".png")
    said = found.said()
    assert len(said.splitlines()) == 1 and found.jobs[0].source.name == "a.jpg"
    for part in (
        "1 .jp2: not read here",
        "1 .cr2: not read here",
        "3 files that are no photos",
        "1 linked folders: give them as inputs",
        "1 links that lead nowhere",
        "1 pipes and devices",
    ):
        assert part in said
    for format, suffix in (("HEIF", ".heic"), ("JXL", ".jxl")):
        assert (f"1 {suffix}: `pip install -r {REQUIREMENTS}`" in said) == (format not in readable())
    assert (ROOT / REQUIREMENTS).is_file()
    # The advice: the linked folder as an input.
    assert targets(find_jobs([str(place / "album")], tmp_path / "out", ".png")) == {"d.jpg": "d.png"}


def test_a_folder_of_nothing_else_says_what_it_has(folder, tmp_path):
    with pytest.raises(UserError, match=r"no photos there .*passed over: 2 \.jp2: not read here"):
        find_jobs([str(folder("a.jp2", "b.jp2"))], tmp_path / "out", ".png")


def test_a_folder_that_cannot_be_read_stops_nothing_but_itself(folder, tmp_path, monkeypatch):
    place = folder("a.jpg", "lost+found/b.jpg")
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find_jobs([str(place)], tmp_path / "out", ".png")
    assert targets(found) == {"a.jpg": "a.png"}
    assert found.unreadable == [f"{place}/lost+found: the folder cannot be read (Permission denied)"]
    with pytest.raises(UserError, match=r"lost\+found: the folder cannot be read"):
        find_jobs([str(place / "lost+found")], tmp_path / "out", ".png")


def test_results_among_the_photos_are_never_taken_for_photos(folder):
    place = folder("a.jpg", "sub/b.jpg")
    with pytest.raises(UserError, match=r"in: is the folder of the photos itself.*--output: .*/restored") as error:
        find_jobs([str(place)], place, ".png")
    advised = Path(str(error.value).rsplit(" ", 1)[1])
    for _ in range(2):
        found = find_jobs([str(place)], advised, ".png")
        assert targets(found) == {"a.jpg": "a.png", "b.jpg": "b.png"}
        for job in found.jobs:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            job.target.write_bytes(JPEG)
    assert len(find_jobs([f"{place}/**/*"], advised, ".png").jobs) == 2


def test_a_second_run_over_a_glob_into_the_same_folder_is_refused(folder):
    place = folder("a.jpg")
    assert targets(find_jobs([f"{place}/*"], place, ".png")) == {"a.jpg": "a.png"}
    folder("a.png")
    with pytest.raises(UserError, match=r"a\.png: is one of the photos to restore"):
        find_jobs([f"{place}/*"], place, ".png")
    assert targets(find_jobs([f"{place}/*.jpg"], place, ".png")) == {"a.jpg": "a.png"}  # skipped by the restorer


def test_photos_of_several_folders_with_one_name_are_refused(folder, tmp_path):
    place = folder("x/a.png", "y/a.png")
    with pytest.raises(UserError, match=r"would both become .*give the folder above both"):
        find_jobs([str(place / "x/a.png"), str(place / "y/a.png")], tmp_path / "out", ".png")
    assert len(find_jobs([str(place)], tmp_path / "out", ".png").jobs) == 2  # the advice
