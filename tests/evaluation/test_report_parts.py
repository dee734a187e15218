"""Parts of a report: names that stay text, tables, previews, drawings."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.evaluation_sets import EvaluationItem
from evaluation.evaluate import Cost, Evaluation, evaluate
from evaluation.report.page import LIMIT, inline_svg, make_page
from evaluation.report.previews import SIDE, data_uri, make_previews, spread
from evaluation.score_log import Record
from evaluation.tables.formats import Cell, Table, as_html
from tests.evaluation.report_page import BICUBIC, Page, data_of, decoded, options


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
