"""The report: one page that needs nothing but itself, says what the tables say, and keeps to its size."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from data.evaluation_sets import EvaluationItem
from evaluation.evaluate import Cost, Evaluation, evaluate
from evaluation.options import EvaluationOptions
from evaluation.report.page import LIMIT, inline_svg, make_page, write_report
from evaluation.report.previews import SIDE, data_uri, make_previews, spread
from evaluation.report.sliders import NO_MODEL, NO_PICTURES, NO_ROOM
from evaluation.score_log import Record
from evaluation.tables.build import make_tables
from evaluation.tables.formats import Cell, Table, as_html
from utils.images import read_image
from utils.options import validate

BICUBIC = {"name": "Bicubic", "generator": {"type": "bicubic", "scale": 2}}
AGAIN = {"name": "Bicubic again", "generator": {"type": "bicubic", "scale": 2}}
LATER = {"name": "later", "weights": "nowhere/later.safetensors"}
VOID = {"meta", "link", "input", "img", "br", "path", "use"}


class Page(HTMLParser):
    """A page as a list of elements (tag, attributes, text inside), each closed where it was opened."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), attributes
        element = {"tag": tag, **dict(attributes), "text": ""}
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.elements.append({"tag": tag, **dict(attributes), "text": ""})

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def all(self, tag, **attributes):
        return [
            element
            for element in self.elements
            if element["tag"] == tag and all(element.get(name) == value for name, value in attributes.items())
        ]


def options(results, folder, models=(BICUBIC, AGAIN), **values):
    return validate(
        {
            "name": "run",
            "results": str(results),
            "scale": 2,
            "models": list(models),
            "datasets": [{"name": "photos", "hr": str(folder), "compressions": ["jpeg10", "jpeg40", "webp20"]}],
            "device": "cpu",
            **values,
        },
        EvaluationOptions,
        "test",
    )


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


def data_of(page):
    """What each slider shows."""
    return [json.loads(e["text"]) for e in page.all("script", type="application/json") if "id" not in e]


def decoded(uri):
    kind, _, data = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


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


def scored(image, bits_per_pixel, device):
    """An evaluation of one image by one model."""
    record = Record("", "", {"psnr_y": 25.0, "ssim_y": 0.5}, bits_per_pixel, 0.1)
    items = [EvaluationItem("photos", image, c, Path("photo.png"), None) for c in ("jpeg10", "jpeg40", "webp20")]
    kinds = {"psnr_y": "psnr_y", "ssim_y": "ssim_y"}
    return Evaluation({item: {"Bicubic": record} for item in items}, kinds, {"Bicubic": Cost(1, 2)}, device)


def test_names_cannot_become_markup(photo_folder, tmp_path):
    image = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'\""
    given = options(tmp_path, photo_folder, [BICUBIC], save_images=False)
    hostile = Page(make_page(scored(image, 0.5, "<b>GPU</b>"), given))
    assert len([e for e in hostile.all("script") if "type" not in e]) == 1 and not hostile.all("b")
    assert [e["text"] for e in hostile.all("th", scope="row")].count(image) == 3
    assert "<b>GPU</b>" in [e["text"] for e in hostile.all("dd")]


def test_a_slider_of_a_hostile_name(photo_folder, tmp_path, monkeypatch):
    from evaluation.report import sliders
    from evaluation.report.previews import Preview
    from utils.boxes import Box

    image = "</script><script>alert(1)</script>\"'<!--"
    given = options(tmp_path, photo_folder, [BICUBIC])
    evaluation = scored(image, None, "CPU")
    preview = Preview(
        tuple(evaluation.records), (64, 64), Box(0, 0, 32, 32), "data:,", ("data:,a",), ((0, None, 0),) * 3
    )
    hostile = Page(sliders.pictures_section([preview], evaluation, given))
    assert len(hostile.all("script")) == 1 and json.loads(hostile.all("script")[0]["text"])["image"] == image
    assert image in hostile.all("input")[0]["aria-label"]
    # A network per quality, whose file for one of them is missing: nothing has restored the image there.
    *records, (missing, _) = evaluation.records.items()
    html = sliders.pictures_section([preview], replace(evaluation, records=dict(records)), given)
    (data,) = data_of(Page(html))
    assert missing.compression == "webp20" and data["scores"][2] == [None, ["–", "–"], None] and data["bits"][2] == ""


def test_a_table_as_html():
    table = Table("a < b", ["set", "model", "x"], 2, caption=["code `a_b` & more."], notes=["(a) `no`"])
    table.groups = [
        [[Cell("one"), Cell("A"), Cell("1", "best")], [Cell(), Cell("B"), Cell("2", "second")]],
        [[Cell("two"), Cell("A"), Cell("3")], [Cell("three"), Cell("B"), Cell("–")]],
    ]
    page = Page(as_html(table))
    rows = [(e["text"], e.get("rowspan")) for e in page.all("th", scope="row")]
    assert rows == [("one", "2"), ("A", None), ("B", None), ("two", None), ("A", None), ("three", None), ("B", None)]
    assert [e["text"] for e in page.all("td")] == ["1", "2", "3", "–"] and len(page.all("tbody")) == 2
    assert page.all("strong")[0]["text"] == "1" and page.all("u")[0]["text"] == "2"
    assert page.all("h3")[0]["text"] == "a < b" and [e["text"] for e in page.all("code")] == ["a_b", "no"]


def test_images_are_spread_evenly_whatever_the_number():
    names = [f"{place:02}" for place in range(24)]
    assert sorted(spread(names, 8)) == names[::3]
    for count in range(1, 9):  # no beginning leaves a long stretch out
        places = sorted(map(int, spread(names, 8)[:count]))
        assert max(np.diff([*places, 24])) <= 2 * 24 / count
    assert sorted(spread(names[:5], 8)) == names[:5] and spread(["a"], 8) == ["a"]


def test_previews_are_parts_that_fit_the_scale(tmp_path):
    import skimage.data

    from utils.images import write_png

    photo = skimage.data.coffee()[:399, :598]
    write_png(tmp_path / "hr" / "coffee.png", photo)
    models = [{"name": "B", "generator": {"type": "bicubic", "scale": 3}}]
    sets = [{"name": "photos", "hr": str(tmp_path / "hr"), "compressions": ["jpeg10"]}]
    given = options(tmp_path, tmp_path, models, scale=3, datasets=sets)
    (preview,) = make_previews(evaluate(given), given, LIMIT)
    assert preview.size == (399, 597) and (preview.box.height, preview.box.width) == (318, 318) and SIDE == 320
    assert preview.box.top % 3 == preview.box.left % 3 == 0
    (places,) = preview.shown
    assert [decoded(preview.pictures[place]).shape[0] for place in places] == [106, 318, 318]
    np.testing.assert_array_equal(decoded(preview.pictures[places[2]]), decoded(data_uri(preview.box.cut(photo))))
    assert decoded(preview.thumbnail).shape == (118, 176, 3)
    assert preview.bytes > sum(map(len, preview.pictures))


def test_svg_names_are_its_own():
    svg = """<?xml version="1.0"?><!DOCTYPE svg><svg xmlns="http://a" xmlns:xlink="http://b" width="9pt"><metadata>
<x xmlns:y="http://c"/></metadata><defs><!-- a -- b --><style type="text/css">*{fill: red}</style><path id="p"/></defs>
<use xlink:href="#p" clip-path="url(#p)"/></svg>"""
    text = inline_svg(svg, "one-", "a & b")
    assert text.startswith('<svg role="img" aria-label="a &amp; b" width="9pt"><defs><path id="one-p"/>')
    assert '<use href="#one-p" clip-path="url(#one-p)"/>' in text and "http" not in text
