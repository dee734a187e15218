"""Scoring two folders: which files are partners, what is refused, what is printed and written."""

import argparse
import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from skimage import data

from evaluation.metrics import MetricError, psnr_rgb, psnr_y, ssim_y
from evaluation.score import ScoreError, add_arguments, main, pair_files
from utils.images import ImageError, write_png
from utils.visible import csv_cell, visible

ROOT = Path(__file__).parents[2]


def score(folder: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(["--sr", str(folder / "sr"), "--hr", str(folder / "hr"), *more]))


def image(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-20, 21, (height, width, 3))
    photo = data.astronaut()[100 : 100 + height, 150 : 150 + width]
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def write(folder: Path, **images: np.ndarray) -> None:
    for name, pixels in images.items():
        write_png(folder / f"{name}.png", pixels)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two pairs: `bird` and `bird_2`, whose names are nested."""
    write(tmp_path / "hr", bird=image(0), bird_2=image(1))
    write(tmp_path / "sr", bird_x4_SR=image(2), bird_2_x4_SR=image(3))
    return tmp_path


def test_rows_average_caption_and_csv(two: Path, capsys) -> None:
    assert score(two, "--border", "4", "--convention", "edsr", "--csv", str(two / "new" / "scores.csv")) == 0
    pairs = {"bird": (image(2), image(0)), "bird_2": (image(3), image(1))}
    expected = {
        name: (psnr_y(*pair, 4, "edsr"), ssim_y(*pair, 4, "edsr"), psnr_rgb(*pair, 4)) for name, pair in pairs.items()
    }
    expected["average"] = tuple(np.mean(list(expected.values()), axis=0))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split("  ")[0].strip() == "image"
    printed = {line.split()[0]: line.split()[1:] for line in lines[1:4]}
    assert printed == {name: [f"{p:.3f}", f"{s:.4f}", f"{r:.3f}"] for name, (p, s, r) in expected.items()}
    assert lines[4:] == ["2 images; Y by convention edsr; border 4 (RGB too)"]
    assert err == ""
    with (two / "new" / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["bird", "bird_2"]
    for row in rows:
        found = tuple(float(row[column]) for column in ("psnr_y", "ssim_y", "psnr_rgb"))
        assert found == expected[row["image"]]
        assert (row["convention"], row["border"]) == ("edsr", "4")
        assert Path(row["sr"]).exists() and Path(row["hr"]).exists()


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


@pytest.mark.parametrize(
    "restored",
    ["baby.jpg", "babyx4.png", "babyX2_SR.png", "baby_x4_SR.png", "baby-1.png", "baby.out.png", "baby (1).png"],
)
def test_suffixes_that_programs_add(restored: str) -> None:
    pairs, lonely = pair_files(paths(restored), paths("baby.png", "bab.png"))
    assert [(pair.name, pair.sr) for pair in pairs] == [("baby", Path(restored))]
    assert lonely == paths("bab.png")


@pytest.mark.parametrize("restored", ["baby2.png", "babyface.png", "babyxray.png", "bab.png", "my_baby.png"])
def test_other_images_are_no_partners(restored: str) -> None:
    assert pair_files(paths(restored), paths("baby.png")) == ([], paths(restored, "baby.png"))


def test_the_longest_base_name_is_the_partner() -> None:
    pairs, lonely = pair_files(paths("img_10_x4.png", "img_1_x4.png", "img_x4.png"), paths("img_1", "img_10", "img"))
    assert {pair.name: pair.sr.name for pair in pairs} == {
        "img_1": "img_1_x4.png",
        "img_10": "img_10_x4.png",
        "img": "img_x4.png",
    }
    assert lonely == []


@given(st.sets(st.text("ab_x1", min_size=1, max_size=4), min_size=1), st.sampled_from(["", "_x4", "x2", "-SR"]))
@example({"a", "a_"}, "_x4")  # a_x4: made of `a`, or of `a_`? a__x4 then is one too many
def test_one_suffix_for_all_never_mixes_images_up(stems: set[str], suffix: str) -> None:
    try:
        pairs, lonely = pair_files(
            [Path(f"{stem}{suffix}.png") for stem in stems], [Path(f"{stem}.png") for stem in stems]
        )
    except ScoreError as error:
        assert "both go with" in str(error) and any(stem + "_" in stems for stem in stems)
    else:
        assert lonely == []
        assert {pair.name: pair.sr.stem for pair in pairs} == {stem: stem + suffix for stem in stems}


@pytest.mark.parametrize(
    ("sr", "hr", "said"),
    [
        (("a.png", "a.jpg"), ("a.png",), ("a.png", "a.jpg")),
        (("a.png",), ("a.png", "a.webp"), ("a.png", "a.webp")),
        (("a_x4.png", "a_RDN.png"), ("a.png",), ("a_x4.png", "a_RDN.png", "a.png")),
    ],
)
def test_two_files_for_one_place_are_an_error_that_names_both(sr, hr, said) -> None:
    with pytest.raises(ScoreError) as error:
        pair_files(paths(*sr), paths(*hr))
    assert all(name in str(error.value) for name in said) and "\n" not in str(error.value)


def test_files_without_a_partner_are_named_and_the_rest_is_scored(two: Path, capsys) -> None:
    write(two / "hr", zebra=image(4))
    write(two / "sr", noise=image(5))
    assert score(two, "--border", "0", "--csv", str(two / "scores.csv")) == 1
    out, err = capsys.readouterr()
    assert f"2 images of 3 in {two / 'hr'}; Y by convention matlab; border 0" in out
    assert err == f"without a partner: {two / 'sr' / 'noise.png'}, {two / 'hr' / 'zebra.png'}\n"
    assert len((two / "scores.csv").read_text().splitlines()) == 3


def test_no_pair_at_all_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "hr", bird=image(0))
    write(tmp_path / "sr", cat=image(0))
    with pytest.raises(ScoreError, match=r"no two files share a base name.*cat\.png.*bird\.png"):
        score(tmp_path, "--border", "0")


@pytest.mark.parametrize(("sr_size", "hr_size"), [((40, 44), (43, 48)), ((47, 48), (40, 48))])
def test_the_larger_of_two_is_cropped_and_it_is_said(tmp_path: Path, sr_size, hr_size, capsys) -> None:
    write(tmp_path / "hr", bird=image(0, *hr_size))
    write(tmp_path / "sr", bird=image(1, *sr_size))
    assert score(tmp_path, "--border", "2") == 0
    height, width = min(sr_size[0], hr_size[0]), min(sr_size[1], hr_size[1])
    pair = image(1, *sr_size)[:height, :width], image(0, *hr_size)[:height, :width]
    out = capsys.readouterr().out.splitlines()
    assert out[1].split()[1:] == [
        f"{psnr_y(*pair, 2):.3f}",
        f"{ssim_y(*pair, 2):.4f}",
        f"{psnr_rgb(*pair, 2):.3f}",
    ]
    folder, old = ("hr", hr_size) if hr_size > sr_size else ("sr", sr_size)
    cropped = f"{tmp_path / folder / 'bird.png'} from {old[1]}x{old[0]} to {width}x{height}"
    assert out[-1] == f"cropped at the bottom and right: {cropped}"


@pytest.mark.parametrize("sr_size", [(32, 48), (40, 56), (41, 47), (10, 12), (80, 96)])
def test_sizes_that_do_not_fit_are_refused_before_anything_is_scored(two: Path, sr_size, capsys) -> None:
    write(two / "sr", bird_2_x4_SR=image(1, *sr_size))  # the last of the pairs
    with pytest.raises(ScoreError, match=rf"bird_2_x4_SR\.png: {sr_size[1]}x{sr_size[0]} pixels.*48x40"):
        score(two, "--border", "0")
    assert capsys.readouterr().out == ""


def test_a_border_that_leaves_no_window_is_refused_before_anything_is_scored(two: Path, capsys) -> None:
    write(two / "hr", small=image(0, 18, 30))
    write(two / "sr", small=image(1, 18, 30))
    with pytest.raises(MetricError, match=r"small\.png: 30x18 pixels less a border of 4"):
        score(two, "--border", "4")
    with pytest.raises(MetricError, match="border -1"):
        score(two, "--border", "-1")
    assert "average" not in capsys.readouterr().out


def test_a_missing_folder_is_an_error(two: Path) -> None:
    with pytest.raises(ImageError, match="nowhere"):
        score(two, "--border", "0", "--hr", str(two / "nowhere"))


def test_a_mistake_on_the_command_line_is_one_line_and_status_2(two: Path) -> None:
    command = [sys.executable, "test.py", "score", "--sr", str(two / "sr"), "--hr", str(two / "hr"), "--border", "30"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name", ["=1+1", "\x1b]0;owned\x07", "two\nlines", b"caf\xe9".decode("utf-8", "surrogateescape")]
)
def test_names_of_files_steer_neither_terminals_nor_spreadsheets(tmp_path: Path, name, capsys) -> None:
    for folder in ("sr", "hr"):
        write(tmp_path / folder, **{name: image(0, 24, 30), "lonely\x1b[31m" + folder: image(0, 24, 30)})
    assert score(tmp_path, "--border", "0", "--csv", str(tmp_path / "scores.csv")) == 1
    said = capsys.readouterr()
    for text in (said.out, said.err):
        text.encode()  # as a terminal that takes UTF-8 alone does
        assert "\x1b" not in text
    assert visible(name) in said.out and "lonely\\x1b[31m" in said.err
    (row,) = csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text()))
    assert row["image"] == csv_cell(name)
