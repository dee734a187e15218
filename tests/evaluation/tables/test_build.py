"""Tables: what is marked, quoted and said."""

import re
from pathlib import Path

import pytest

from data.evaluation_sets import EvaluationItem
from evaluation.evaluate import Cost, Evaluation
from evaluation.options import EvaluationOptions
from evaluation.score_log import Record
from evaluation.tables.averages import averages
from evaluation.tables.build import FILES, write_tables
from evaluation.tables.formats import as_latex, as_markdown, as_text
from tests.evaluation.tables.made_up import model, options, rows_of, scored, table_of, y
from utils.options import OptionsError, validate


def test_best_and_second_by_what_is_printed():
    given = options([model("A"), model("B"), model("C")])
    evaluation = scored(
        given, {"Bicubic": y(25, 0.7), "A": y(26.00041, 0.6), "B": y(26.00044, 0.8), "C": y(25.5, 0.70001)}
    )
    (table,) = table_of(given, evaluation)
    marks = {row[1].text: (row[3].mark, row[4].mark) for row in table.groups[0]}
    assert marks == {"Bicubic": (None, "second"), "A": ("best", None), "B": ("best", "best"), "C": ("second", "second")}
    text = as_markdown(table)
    assert text.count("**26.000**") == 2 and "<u>25.500</u>" in text and text.count("<u>0.7000</u>") == 2
    assert r"\textbf{26.000}" in as_latex(table) and r"\underline{25.500}" in as_latex(table)
    assert "26.000" in as_text(table) and not re.search(r"\*\*|<u>", as_text(table))


def test_less_is_better_for_lpips_and_two_rows_have_no_second():
    given = options([model("A")], metrics=["lpips", "psnr_rgb"], convention="matlab")
    (table,) = table_of(
        given, scored(given, {"Bicubic": {"lpips": 0.3, "psnr_rgb": 30}, "A": {"lpips": 0.2, "psnr_rgb": 29}})
    )
    assert [[cell.mark for cell in row[3:]] for row in table.groups[0]] == [[None, "best"], ["best", None]]


def test_published_figures_stand_beside_ours_with_the_difference():
    given = options([model("Ours", published="cisrnet"), model("Other", published="VDSR")], sets=("B100",))
    evaluation = scored(given, {"Bicubic": y(25, 0.6), "Ours": y(26.0, 0.66), "Other": y(25.0, 0.6)})
    (table,) = table_of(given, evaluation)
    assert table.headings == [
        "compression",
        "model",
        "bpp",
        "Y-PSNR",
        "published",
        "difference",
        "SSIM",
        "published",
        "difference",
    ]
    cells = {row[1].text: [cell.text for cell in row[3:]] for row in table.groups[0]}
    assert cells["Bicubic"] == ["25.000", "–", "–", "0.6000", "–", "–"]
    assert cells["Ours"] == ["26.000", "26.081", "-0.081", "0.6600", "0.659", "+0.001"]
    assert cells["Other"] == ["25.000", "24.983", "+0.017", "0.6000", "0.617", "-0.017"]
    assert "Table 1" in table.notes[0]
    row = averages(evaluation, given).set_index("model").loc["Ours"]
    assert row["psnr_y_difference"] == pytest.approx(-0.081) and row["ssim_y_published"] == 0.659


def test_a_set_with_several_compressions_has_their_mean_in_which_an_image_counts_once():
    given = options(compressions=("jpeg10", "jpeg40"))
    figures = {("jpeg10", "a"): 20.0, ("jpeg10", "b"): 24.0, ("jpeg40", "a"): 30.0, ("jpeg40", "b"): 36.0}
    records = {
        EvaluationItem("B100", image, spec, Path(image), None): {"Bicubic": Record("", "", y(value, 0.5), None, 0.5)}
        for (spec, image), value in figures.items()
    }
    evaluation = Evaluation(records, {"psnr_y": "psnr_y", "ssim_y": "ssim_y"}, {"Bicubic": Cost(0, 0)}, "CPU")
    (table,) = table_of(given, evaluation)
    assert [group[0][0].text for group in table.groups] == ["jpeg10", "jpeg40", "mean"]
    assert [group[0][3].text for group in table.groups] == ["22.000", "33.000", "27.500"]
    row = averages(evaluation, given).set_index("compression").loc["mean"]
    assert row["images"] == 2 and (row["psnr_y_low"], row["psnr_y_high"]) == (25.0, 30.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"convention": "matlab"},
        {"border": 0},
        {"compressions": ["jpeg20"]},
        {"sets": ["Kodak24"]},
        {"metrics": ["psnr_rgb"]},
    ],
)
def test_nothing_is_quoted_where_the_measurement_differs(changed):
    given = options([model("Ours", published="CISRNet")], **changed)
    figures = dict.fromkeys(given.metrics, 1.0)
    (table,) = table_of(given, scored(given, {"Bicubic": figures, "Ours": figures}))
    assert "published" not in table.headings and not table.notes


def test_caveats_are_footnotes_and_hevc_names_its_encoder():
    bicubic = {"type": "bicubic", "scale": 1}
    given = validate(
        {
            "name": "hevc",
            "scale": 1,
            "metrics": ["psnr_rgb", "lpips", "lpips_unit_range"],
            "models": [
                {"name": "Input", "generator": bicubic, "published": "input"},
                {"name": "E", "generator": bicubic, "published": "ESRGAN"},
            ],
            "datasets": [{"name": "DIV2K_valid", "hr": "nowhere", "compressions": ["hevc32", "hevc37"]}],
        },
        EvaluationOptions,
        "test",
    )
    figures = {"psnr_rgb": 30.0, "lpips": 0.2, "lpips_unit_range": 0.1}
    evaluation = scored(given, {"Input": figures, "E": figures})
    (table,) = table_of(given, evaluation)
    assert [row[-2:] for row in ([cell.text for cell in row] for row in table.groups[1])] == [
        ["0.138 (a)", "-0.038"],
        ["0.080 (a)", "+0.020"],
    ]
    assert [cell.text for cell in table.groups[0][0]][-2:] == ["–", "–"]  # QP 32 was not published
    assert table.notes[1].startswith("(a) HEVC by HM 16.5; LPIPS was fed [0, 1]")
    caption = " ".join(table.caption)
    assert re.search(r"HEVC QP 32, 37: 4:4:4 8 bit, all intra.*by x265 \d.*preset slow.*PyAV", caption)
    assert "scaled to [-1, 1] (standard), no border" in caption and "not comparable" in caption
    assert "convention" not in caption  # no figure of Y


def test_models_and_metrics_that_are_not_there_say_so(tmp_path):
    given = options([model("A")], metrics=["psnr_y", "lpips"], results=str(tmp_path), compressions=["jpeg10", "webp20"])
    evaluation = scored(given, {"Bicubic": {"psnr_y": 25.0}}, left_out=("lpips",))
    screen = write_tables(evaluation, given)
    assert re.search(r"Bicubic +0\.750 +25\.000 +no weights", screen) and re.search(r"A +not trained yet +–", screen)
    assert {path.name for path in (tmp_path / "table").iterdir()} == set(FILES)
    nobody = scored(given, {}, left_out=("lpips",))
    assert write_tables(nobody, given).count("not trained yet") == 2 * 3 + 2  # 2 compressions and their mean


def test_sets_of_one_compression_share_a_table_others_have_their_own():
    figures = {"Bicubic": y(25, 0.7)}
    together = options(sets=("Set5", "Set14", "B100"))
    (table,) = table_of(together, scored(together, figures))
    assert [group[0][0].text for group in table.groups] == ["Set5 (2 images)", "Set14 (2 images)", "B100 (2 images)"]
    apart = options(sets=("Set5", "B100"), compressions=("jpeg10", "webp5", "none"))
    tables = table_of(apart, scored(apart, figures))
    assert [(table.title, len(table.groups)) for table in tables] == [("Set5 (2 images)", 4), ("B100 (2 images)", 4)]
    assert tables[0].caption and not tables[1].caption
    assert "JPEG quality 10: 4:2:0" in " ".join(tables[0].caption)


def test_files_agree_and_costs_and_findings_are_told(tmp_path):
    given = options(
        [model("Ours", published="CISRNet")], sets=("B100", "Manga109"), results=str(tmp_path), findings=["Figure 9"]
    )
    screen = write_tables(scored(given, {"Bicubic": y(25, 0.7), "Ours": y(26, 0.8)}), given)
    for part in (
        "1,234,567",
        "9.6",
        "2.5",
        "Titan Xp: CISRNet 327.34.",  # the paper's network, whatever the row's is called
        "+0.066 dB, +0.003 SSIM",
        "1152×864",
    ):
        assert part in screen, part
    assert "25.000 to 25.000" in (tmp_path / "table/table.md").read_text() and "25.000 to" not in screen
    costs = (tmp_path / "table/costs.csv").read_text().splitlines()
    assert costs[:2] == ["model,parameters,flops,seconds", "Bicubic,1234567,2500000000,0.500000"]
    rows = rows_of((tmp_path / "table/table.md").read_text())
    assert all(len(row) == len(rows[0]) for row in rows[:6]) and len(rows[0]) == 10


def test_chains_with_names_are_called_by_them_in_every_table_and_written_out_in_the_caption(tmp_path):
    chain = "longest64>jpeg70"
    named = {"compressions": [chain, "jpeg10"], "compression_names": ["Social feed", "Bad"]}
    given = options(
        models=[model("Ours")],
        datasets=[{"name": "B100", "hr": "nowhere", **named}],
        results=str(tmp_path),
        metrics=["psnr_y"],
        least_gain={"over": "Bicubic"},
    )
    evaluation = scored(given, {"Bicubic": {"psnr_y": 20.0}, "Ours": {"psnr_y": 21.0}})
    write_tables(evaluation, given)
    text = (tmp_path / "table/table.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert sum("Social feed" in row for row in rows) >= 3 and not any(chain in row for row in rows)
    assert (
        "Social feed (`longest64>jpeg70`): shrunk to a longest side of 64 (MATLAB's bicubic), then JPEG quality 70"
        in text
    )
    assert chain in (tmp_path / "table/average.csv").read_text()
    with pytest.raises(OptionsError, match="compression_names"):
        options(datasets=[{"name": "a", "hr": "b", "compressions": ["jpeg9", "jpeg8"], "compression_names": ["one"]}])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"models": [model("A", published="CISRNest")]}, "no published figures; known: VDSR, RDN"),
        ({"metrics": ["psnr_y", "psnr_y"]}, "metrics: two of them have the same name"),
        ({"metrics": ["psnr"]}, "expected 'psnr_y', 'ssim_y', 'psnr_rgb', "),
        ({"findings": ["Figure 7"]}, "choose from Figure 8, Figure 9"),
    ],
)
def test_mistakes_in_options(values, said):
    with pytest.raises(OptionsError) as error:
        options(**values)
    assert said in str(error.value)
