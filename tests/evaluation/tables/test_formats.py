"""evaluation.tables.formats: LaTeX and Markdown that parse, whatever the names."""

import csv
import io
import re
from dataclasses import replace

import pytest

from evaluation.tables.build import write_tables
from evaluation.tables.formats import Cell, Table, as_latex, as_markdown, as_text, escaped
from tests.evaluation.tables.made_up import model, options, rows_of, scored, y
from utils.visible import csv_cell, visible

# ----------------------------------------------------------------------------------------------------------- LaTeX

HOSTILE = r"a_b & 50% #1 {x} $5 ~^\ [0, 1] <x>|y ×2 – −3 ± 1"
COMMANDS = {
    "begin",
    "end",
    "centering",
    "resizebox",
    "ifdim",
    "width",
    "linewidth",
    "else",
    "fi",
    "caption",
    "smallskip",
    "footnotesize",
    "toprule",
    "midrule",
    "bottomrule",
    "par",
    "textbf",
    "underline",
    "texttt",
    "textbackslash",
    "textasciitilde",
    "textasciicircum",
    "textless",
    "textgreater",
    "textbar",
    "times",
    "pm",
    "dots",
}


def check_latex(text):
    """What an engine would stumble over: braces, environments, cells, commands, bare special characters."""
    assert text.isascii()
    body = re.sub(r"(?m)^%.*$", "", text)
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= COMMANDS
    open_, stack = 0, []
    for token in re.finditer(r"\\(begin|end)\{(\w+)\}|\\.|[{}]", body, re.S):
        if token[1] == "begin":
            stack.append(token[2])
        elif token[1] == "end":
            assert stack.pop() == token[2]
        elif token[0] in "{}":
            open_ += 1 if token[0] == "{" else -1
            assert open_ >= 0
    assert open_ == 0 and stack == []
    for columns, content in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", body, re.S):
        lines = [line for line in content.strip().splitlines() if not re.fullmatch(r"\\(top|mid|bottom)rule", line)]
        assert lines
        for line in lines:
            assert line.endswith(r" \\"), line
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1, line
            assert not re.match(r"\s*[\[*]", line), line  # the \\ before would take it for its argument
    bare = re.sub(
        r"\\[&%$#_{}]|\$(\\times|\\pm|-)\$", "", re.sub(r"(?s)\\begin\{tabular\}.*?\\end\{tabular\}", "", body)
    )
    assert not re.search(r"[&%$#_~^]", bare), bare


def test_latex_is_sound_whatever_the_names(tmp_path):
    table = Table(
        HOSTILE, [HOSTILE, "b"], 1, [[[Cell(HOSTILE, "best"), Cell("-0.5", "second")], [Cell("[0"), Cell("*")]]]
    )
    table.caption, table.notes = [HOSTILE, "code `a_b`."], [HOSTILE]
    check_latex(as_latex(table))
    assert escaped("-0.5 to -inf, e-4, [-1, 1]") == "$-$0.5 to $-$inf, e-4, {[}$-$1, 1{]}"
    assert escaped("`a_b` 5%") == r"\texttt{a\_b} 5\%"
    given = options(
        [model("CISR_net (×2)", published="VDSR"), model("None")],
        sets=("DIV2K_valid",),
        results=str(tmp_path),
        compressions=["jpeg10", "jpeg40>webp30", "hevc37"],
        metrics=["psnr_y", "ssim_y", "psnr_rgb", "lpips_unit_range"],
        findings=["Figure 8"],
    )
    figures = {**y(25, 0.7), "psnr_rgb": 24.0, "lpips_unit_range": 0.1}
    write_tables(scored(given, {"Bicubic": figures, "CISR_net (×2)": figures}), given)
    text = (tmp_path / "table/table.tex").read_text()
    check_latex(text)
    assert r"CISR\_net ($\times$2)" in text and r"DIV2K\_valid" in text and r"jpeg40\textgreater{}webp30" in text


def test_the_check_of_latex_can_fail():
    good = as_latex(Table("t", ["a", "b"], 1, [[[Cell("x"), Cell("1")]]]))
    check_latex(good)
    for bad in (good.replace(r"x & 1", "x"), good.replace("{t.}", "{t_1.}"), good.replace(r"\end{table}", ""),
                good.replace("x &", "[x &"), good.replace("{t.}", "{t.}}"), good.replace("1 ", "é ")):  # fmt: skip
        with pytest.raises(AssertionError):
            check_latex(bad)


def test_markdown_keeps_its_columns_whatever_the_names():
    table = Table("t", ["a|b", "c"], 1, [[[Cell("x|y", "best"), Cell("1", "second")]]])
    assert [len(row) for row in rows_of(as_markdown(table))] == [2, 2, 2]


@pytest.mark.parametrize(
    "name", ["=1+1", "@SUM(A1)", "-2+3", "\x1b[31m\nFAKE", b"caf\xe9".decode("utf-8", "surrogateescape")]
)
def test_names_of_files_steer_neither_spreadsheets_nor_terminals(name, tmp_path):
    given = options([model("A")], results=str(tmp_path))
    evaluation = scored(given, {"Bicubic": y(25, 0.7), "A": y(-26, 0.6)})
    evaluation = replace(evaluation, records={replace(i, image=name): r for i, r in evaluation.records.items()})
    write_tables(evaluation, given)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table/images.csv").read_text())))
    assert {row["image"] for row in rows} == {csv_cell(name)}
    assert {float(row["psnr_y"]) for row in rows} == {25, -26}  # figures stay figures
    shown = as_text(Table("t", ["name"], 1, [[[Cell(name)]]]))
    shown.encode()
    assert "\x1b" not in shown and visible(name) in shown
