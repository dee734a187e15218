"""The report: one page that needs nothing but itself, says what the tables say, and keeps to its size."""

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

from evaluation.evaluate import Evaluation, evaluate
from evaluation.report.page import LIMIT, make_page, write_report
from evaluation.report.previews import make_previews
from evaluation.report.sliders import NO_MODEL, NO_PICTURES, NO_ROOM
from evaluation.tables.build import make_tables
from tests.evaluation.report_page import Page, data_of, decoded, options
from utils.images import read_image

LATER = {"name": "later", "weights": "nowhere/later.safetensors"}


@pytest.fixture(scope="module")
def run(photo_folder, tmp_path_factory):
    """An evaluation of three photographs with its options; pictures are there. Shared: not to be written to."""
    given = options(tmp_path_factory.mktemp("results"), photo_folder)
    return evaluate(given), given


@pytest.fixture(scope="module")
def text(run):
    return make_page(*run)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_asks_for_nothing_and_runs_its_own_script_alone(text, page):
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"data:image/[^\"]*", "", text))
    for element in page.elements:
        assert not any(name.startswith("on") for name in element), element
        for name in ("src", "href"):
            assert element.get(name, "#").startswith(("#", "data:")), element
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'; img-src data:;" in policy["content"]
    (script,) = [e for e in page.all("script") if "type" not in e]
    digest = base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy["content"]
    ids = [element["id"] for element in page.elements if "id" in element]
    assert len(set(ids)) == len(ids)
    targets = {e["href"][1:] for e in page.elements if e.get("href", "").startswith("#")}
    assert targets and targets <= set(ids)
    assert set(re.findall(r"url\(#([\w-]+)\)", text)) <= set(ids)


def test_the_figures_are_those_of_the_tables(run, page):
    tables = make_tables(*run)
    expected = [
        row for table in [*tables.main, *tables.intervals, tables.costs] for group in table.groups for row in group
    ]
    cells = [e["text"] for e in page.all("td")]
    for row in expected:
        figures = [cell.text for cell in row if re.search(r"\d\.\d|^\d[\d,]*$", cell.text)]
        assert figures and all(figure in cells for figure in figures), row
    assert {e["text"] for e in page.all("strong")} >= {c.text for r in expected for c in r if c.mark == "best"}
    said = " ".join(e["text"] for e in page.all("dd"))
    assert "convention matlab, border 2" in said and "JPEG quality 10, 40: 4:2:0" in said and "CPU" in said
    assert re.search(r"\b20\d\d-\d\d-\d\d \(UTC\)", said)
    (given,) = page.all("pre")
    assert "- jpeg40\n" in given["text"] and "convention: matlab\n" in given["text"]
    assert len(page.all("svg")) == 2


def test_sliders_show_the_pictures_and_their_scores(run, photos, page):
    evaluation, given = run
    found = data_of(page)
    assert [data["image"] for data in found] == sorted(photos) and len(page.all("input", type="range")) == 3
    labels = [e["text"] for e in page.all("option")]
    assert labels == [
        "jpeg10",
        "jpeg40",
        "webp20",
        *["LR input", "Bicubic", "Bicubic again", "HR"] * 2,
        "1×",
        "2×",
        "3×",
    ]
    chosen = [e["text"] for e in page.all("option") if "selected" in e]
    assert chosen == ["jpeg10", "Bicubic", "Bicubic again", "1×"]
    printed = {
        (item.image, item.compression, model): [f"{scores['psnr_y']:.3f}", f"{scores['ssim_y']:.4f}"]
        for item, by_model in evaluation.records.items()
        for model, scores in ((model, evaluation.scores(record)) for model, record in by_model.items())
    }
    for data in found:
        photo = photos[data["image"]][: 160 // 2 * 2]
        for place, compression in enumerate(["jpeg10", "jpeg40", "webp20"]):
            lr, one, two, hr = data["shown"][place]
            assert one == two and len({lr, one, hr}) == 3  # equal pictures stand in the page once
            wanted = [printed[data["image"], compression, model] for model in ("Bicubic", "Bicubic again")]
            assert data["scores"][place] == [None, *wanted, None]
            restored = read_image(given.folder / f"images/Bicubic/photos/{compression}/{data['image']}.png")
            preview = decoded(data["pictures"][one])
            assert preview.shape == restored.shape and [2 * s for s in decoded(data["pictures"][lr]).shape[:2]] == list(
                restored.shape[:2]
            )
            assert np.abs(preview.astype(int) - restored).mean() < 3
            reference = decoded(data["pictures"][hr])
            assert np.abs(reference.astype(int) - photo[: reference.shape[0], : reference.shape[1]]).mean() < 3
    for image in page.all("img"):
        assert "alt" in image


def test_equal_input_gives_the_same_bytes_and_no_picture_is_restored_for_it(run, text, monkeypatch):
    _, given = run
    assert make_page(*run) == text
    monkeypatch.setattr("evaluation.rows.restore_unrounded", None)
    path = write_report(evaluate(given), given)  # all from the log
    assert path == given.folder / "report.html" and path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_the_limit_is_kept_by_showing_fewer_pictures(run, text, share, monkeypatch):
    monkeypatch.setattr("evaluation.report.page._SHARE", 1)  # here the curves are most of the page
    evaluation, given = run
    bare = len(make_page(evaluation, given.model_copy(update={"save_images": False})).encode())
    limit = bare + int(share * (len(text.encode()) - bare))
    smaller = make_page(*run, limit=limit)
    assert len(smaller.encode()) <= limit < LIMIT
    shown = len(data_of(Page(smaller)))
    assert shown < 3 and (f"{shown} of 3 images" in smaller if shown else NO_ROOM in smaller)
    assert smaller.count("<tr>") - shown * 3 == text.count("<tr>") - 3 * 3  # every score is still there


def test_a_page_of_next_to_no_size_points_to_the_files(run):
    evaluation, given = run
    many = {replace(i, image=f"{i.image} {copy}"): r for i, r in evaluation.records.items() for copy in range(50)}
    tight = make_page(replace(evaluation, records=many), given, limit=40_000)
    assert len(tight.encode()) <= 40_000
    assert "their scores are in <code>images.csv</code>" in tight and "The curves are too large" in tight
    assert NO_ROOM in tight and "26." in tight


def test_pictures_that_are_not_there_are_said(run, photo_folder, tmp_path):
    evaluation, given = run
    unsaved = given.model_copy(update={"save_images": False})
    without = make_page(evaluation, unsaved)
    assert NO_PICTURES in without and not data_of(Page(without)) and not Page(without).all("select")
    elsewhere = given.model_copy(update={"results": tmp_path})
    for preview in make_previews(evaluation, elsewhere, LIMIT):
        assert [[place is None for place in row] for row in preview.shown] == [[False, True, True, False]] * 3
    assert not make_previews(evaluation, elsewhere, 1000)
    nobody = options(tmp_path, photo_folder, [LATER])
    none = make_page(Evaluation({}, {}, {"later": None}, "CPU"), nobody)
    assert NO_MODEL in none and "not trained yet" in none and "not yet" in none
