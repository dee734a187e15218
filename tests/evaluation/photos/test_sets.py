"""Photos without ground truth: restored by every model, and sheets that show them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.resize import imresize
from evaluation.options import EvaluationOptions
from evaluation.photos.contact_sheet import CELL, ZOOM, SheetRow, draw_sheet, preview
from evaluation.photos.sets import ROWS, check_photos, enlarged, restore_photos
from utils.boxes import Box, detail_box
from utils.errors import UserError
from utils.images import read_image, write_png
from utils.options import OptionsError, to_yaml, validate

ROOT = Path(__file__).parents[3]
BICUBIC = {"name": "Bicubic", "generator": {"type": "bicubic", "scale": 2}}
MISSING = {"name": "later", "weights": "nowhere/later.safetensors"}


def options(results, folder, models=(BICUBIC,), **more):
    return validate(
        {
            "name": "run",
            "results": str(results),
            "scale": 2,
            "device": "cpu",
            "models": list(models),
            "photos": [{"name": "social", "folder": str(folder)}],
            **more,
        },
        EvaluationOptions,
        "test",
    )


def test_photos_are_restored_and_shown_side_by_side(photos, photo_folder, tmp_path, capsys):
    run = options(tmp_path, photo_folder, [BICUBIC, MISSING])
    check_photos(run)
    assert restore_photos(run).written == ["photos/"]
    assert "later.safetensors is not there" in capsys.readouterr().err
    for name, photo in photos.items():
        written = read_image(tmp_path / f"run/images/Bicubic/social/{name}.png")
        np.testing.assert_array_equal(written, imresize(photo, 2))
    sheet = read_image(tmp_path / "run/photos/social.png")
    pitch = CELL + 8
    assert sheet.shape[1] == 8 + 3 * pitch  # preview, input, Bicubic
    cells = [sheet[:, 8 + column * pitch : 8 + column * pitch + CELL] for column in range(3)]
    below_titles = 40
    # Our bicubic network and the enlarged input are the same pixels; the preview is not.
    np.testing.assert_array_equal(cells[1][below_titles + 24 : 300], cells[2][below_titles + 24 : 300])
    assert (cells[0][below_titles + 24 : 300] != cells[1][below_titles + 24 : 300]).mean() > 0.5
    assert not (cells[1][:below_titles] == cells[2][:below_titles]).all()  # other titles


def test_photos_beyond_memory_go_through_in_tiles(photos, photo_folder, tmp_path, capsys, monkeypatch):
    sizes = {"num_feat": 8, "reduction": 4, "arm_groups": 1, "rem_groups": 1, "blocks": 1, "steps": 1}
    generator = {"type": "cisr_psi", "scale": 2, **sizes}
    run = options(tmp_path, photo_folder, [BICUBIC, {"name": "CISR-PSI", "generator": generator}])
    restore_photos(run)
    assert "note:" not in capsys.readouterr().err
    whole = {path: read_image(path) for path in (tmp_path / "run/images").rglob("*.png")}
    monkeypatch.setattr("inference.restorer.available_bytes", lambda: 1 << 20)
    restore_photos(run)
    tiled = "restored in 9 tiles by a network that looks at the whole image: seams may show"
    assert f"note: {photo_folder}/coffee.png: CISR-PSI: {tiled}" in capsys.readouterr().err
    for path, image in whole.items():
        # Bicubic sees a few pixels only; the network's weights are random, new each time.
        assert path.parts[-3] == "CISR-PSI" or np.array_equal(read_image(path), image)


def test_long_sets_go_over_pages_and_old_pages_do_not_stay(photos, tmp_path):
    for number in range(ROWS + 1):
        write_png(tmp_path / f"photos/{number}.png", photos["coffee"][number : number + 30, :40])
    run = options(tmp_path, tmp_path / "photos", save_images=False)
    restore_photos(run)
    sheets = tmp_path / "run/photos"
    assert sorted(path.name for path in (sheets / "social").iterdir()) == ["page1.png", "page2.png"]
    pages = [read_image(sheets / f"social/page{page}.png") for page in (1, 2)]
    assert pages[0].shape[1] == pages[1].shape[1] and pages[0].shape[0] > ROWS * CELL > pages[1].shape[0] > CELL
    assert not (tmp_path / "run/images").exists()
    (tmp_path / "photos/0.png").unlink()
    restore_photos(run)
    assert list(sheets.rglob("*.png")) == [sheets / "social.png"]


def test_a_page_is_as_large_for_large_photos_as_for_small_ones():
    sizes = set()
    for height, width in [(1, 1), (30, 3000), (2000, 60)]:
        photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        box = detail_box(photo, CELL // (2 * ZOOM))
        part = enlarged(photo, box, 2)
        sizes.add(draw_sheet(["photo", "x" * 200], [SheetRow("y" * 500, preview(photo, box), [part])]).shape)
    assert len(sizes) == 1


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(1, 50), st.integers(1, 50), st.integers(1, 4))
def test_a_part_is_enlarged_as_in_the_whole_photo(data, height, width, scale):
    photo = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    box = Box(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    whole = imresize(photo, scale) if scale > 1 else photo
    np.testing.assert_array_equal(enlarged(photo, box, scale), box.times(scale).cut(whole))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 160))
def test_the_part_shown_lies_inside_and_is_as_large_as_can_be(height, width, side):
    box = detail_box(np.zeros((height, width, 3), np.uint8), side)
    assert (box.height, box.width) == (min(side, height), min(side, width))
    assert box.cut(np.zeros((height, width))).shape == (box.height, box.width) and min(box.top, box.left) >= 0


@pytest.mark.parametrize(("top", "left"), [(0, 0), (700, 20), (300, 1100), (720, 1120)])
def test_the_part_shown_is_where_the_detail_is(top, left):
    photo = np.full((800, 1200, 3), 90, np.uint8)
    photo[top : top + 80, left : left + 80] = np.random.default_rng(1).integers(0, 256, (80, 80, 3))
    box = detail_box(photo, 80)
    assert abs(box.top - top) <= 6 and abs(box.left - left) <= 6
    marked = preview(photo, box)
    assert marked.shape == (213, CELL, 3) and (marked == (255, 0, 0)).all(axis=2).sum() > 40


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"photos": []}, "give `datasets` .*, `photos` .* or both"),
        ({"photos": [{"name": "a", "folder": "x"}, {"name": "a", "folder": "y"}]}, "the same name"),
        ({"datasets": [{"name": "social", "hr": "x"}]}, "the same name"),
        ({"unfolding_steps": True}, "unfolding_steps: its figure needs `datasets`"),
    ],
)
def test_options_that_do_not_go_together_are_refused(change, what, tmp_path):
    with pytest.raises(OptionsError, match=what):
        options(tmp_path, tmp_path, **change)


def test_folders_and_models_are_looked_at_first(photo_folder, photos, tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        check_photos(options(tmp_path, tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"none of the models can restore them .*later\.safetensors is not there"):
        check_photos(options(tmp_path, photo_folder, [MISSING]))
    write_png(tmp_path / "two/a.png", photos["coffee"])
    (tmp_path / "two/a.webp").write_bytes((tmp_path / "two/a.png").read_bytes())
    with pytest.raises(UserError, match="same base name"):
        check_photos(options(tmp_path, tmp_path / "two"))
    (tmp_path / "two/a.webp").rename(tmp_path / "two/b.png")
    for name in "ab":
        (tmp_path / f"two/{name}.png").write_bytes(b"not a photo")
    with pytest.raises(UserError, match=r"none of .*two can be read.*a\.png: not an image"):
        check_photos(options(tmp_path, tmp_path / "two"))


def test_broken_photos_are_named_and_the_rest_is_restored(photos, tmp_path):
    folder = tmp_path / "in"
    write_png(folder / "b.png", photos["coffee"][:40, :50])
    (folder / "a.png").write_bytes(b"not a photo")
    whole = (folder / "b.png").read_bytes()
    (folder / "c\x1b[31m.png").write_bytes(whole[: len(whole) // 2])  # its header is good
    run = options(tmp_path, folder)
    check_photos(run)
    done = restore_photos(run)
    assert [line.removeprefix(f"{folder}/").split(": ")[0] for line in done.failed] == ["a.png", "c\\x1b[31m.png"]
    assert done.written == ["photos/"] and (tmp_path / "run/photos/social.png").is_file()
    assert [path.name for path in (tmp_path / "run/images/Bicubic/social").iterdir()] == ["b.png"]
    file = tmp_path / "o.yml"
    file.write_text(to_yaml(run))
    program = subprocess.run([sys.executable, "test.py", "--options", file], cwd=ROOT, capture_output=True, text=True)
    assert program.returncode == 1 and program.stderr.count("left out: ") == 2 and "\x1b" not in program.stderr


def test_a_name_of_several_lines_is_drawn_on_one(photos):
    box = detail_box(photos["coffee"], CELL // (2 * ZOOM))
    part = enlarged(photos["coffee"], box, 2)
    sheets = [
        draw_sheet(["photo", "input"], [SheetRow(name, preview(photos["coffee"], box), [part])])
        for name in ("two\nlines.png", "two\\nlines.png")
    ]
    np.testing.assert_array_equal(*sheets)


def test_the_shipped_options_through_the_program(photo_folder, tmp_path):
    """Photos alone: no tables; and a mistake in them is one line."""
    model = "models=[{name: Bicubic, generator: {type: bicubic, scale: 2}}]"
    command = [sys.executable, "test.py", "--options", "options/cisr_psi/photos.yml", f"results={tmp_path}", model]
    done = subprocess.run([*command, f"photos.0.folder={photo_folder}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"written to {tmp_path}/cisr_psi_photos/: images/, photos/\n"
    assert (tmp_path / "cisr_psi_photos/photos/social_media.png").is_file()
    assert not list(tmp_path.rglob("table.md"))
    done = subprocess.run([*command, f"photos.0.folder={tmp_path}/none"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
