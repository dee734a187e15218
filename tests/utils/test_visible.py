"""utils.visible: nothing that steers a terminal, a spreadsheet or a page passes, and nothing is lost."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.cli import one_line
from utils.visible import csv_cell, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name (1).png", "plain name (1).png"),
        ("Zoë 名 ×2 😀", "Zoë 名 ×2 😀"),
        ("\x1b]0;owned\x07\x1b[31m", "\\x1b]0;owned\\x07\\x1b[31m"),
        ("two\nlines\r\tand", "two\\nlines\\r\\tand"),
        ("\x9b31m", "\\x9b31m"),  # the one-byte form of ESC [
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("line\u2028paragraph\u2029", "line\\u2028paragraph\\u2029"),
        (b"caf\xe9.png".decode("utf-8", "surrogateescape"), "caf\\xe9.png"),
    ],
)
def test_what_is_not_seen_is_written_out(text, shown):
    assert visible(text) == shown


@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_that_can_be_encoded(text):
    shown = visible(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1 and "\x1b" not in shown and visible(shown) == shown


def test_errors_leave_on_one_line_without_escapes():
    assert one_line(ValueError("a\n  b \x1b[31m")) == "a b \\x1b[31m"
    assert one_line(ValueError()) == "ValueError"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", " =1", "\r=1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(text):
    cell = csv_cell(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r"))
    file = io.StringIO()
    csv.writer(file).writerow([cell])
    assert next(csv.reader([file.getvalue()])) == [cell]


def test_other_cells_stay():
    assert csv_cell("0801-x2 (a=b).png") == "0801-x2 (a=b).png"
