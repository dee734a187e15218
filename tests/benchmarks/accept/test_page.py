"""The page says what was accepted, and no more."""

import json

import pytest

from benchmarks.accept.page import page
from benchmarks.accept.results import Row, shown
from benchmarks.accept.step import Step
from benchmarks.accept.verdict import verdict


def step(name):
    return Step("group", name, f"Title of {name}", "About.", 1, lambda context: iter(()))


STEPS = [step("first"), step("second")]
PASSED = Row("one", {"a": 1}, "passed", step="first")
NO_TIME = Row("two", {"a": 2}, "not run", "no time", step="first")


@pytest.mark.parametrize(
    ("rows", "status", "text"),
    [
        (
            [PASSED, NO_TIME, Row("three", step="second")],
            True,
            "**Accepted: 1 checks were made and all passed.** Cases that were not run: 1.",
        ),
        # The run was interrupted, or every case of a step was left out: nothing is known of it.
        ([PASSED], False, "**Not finished: the 1 checks that were made passed.** Not run: Title of second."),
        (
            [PASSED, Row("a", {}, "not run", step="second"), Row("b", {}, "not run", step="second")],
            False,
            "**Not finished: the 1 checks that were made passed.** Not run: Title of second.",
        ),
        (
            [PASSED, Row("three", {}, "failed", "why|so", step="second")],
            False,
            "**Not accepted: 1 of 2 checks failed.**\n\n- Title of second: three: why\\|so",
        ),
        ([PASSED, Row("none", {}, "not applicable", "one GPU", step="second")], True, "**Accepted: 1 checks"),
        ([Row("speed", step="first"), Row("speed", step="second")], True, "**Measured; these steps check nothing.**"),
    ],
)
def test_the_page_and_the_status_agree(rows, status, text):
    assert verdict(STEPS, rows).accepted is status
    assert text in page({}, STEPS, rows, finished=True, command="c")


def test_a_page_that_is_not_finished():
    text = page({}, STEPS, [PASSED], finished=False, command="c")
    assert "**Still running.**" in text and "ccepted:" not in text


def test_rows_are_json_whatever_was_measured():
    row = Row("one", {"apart": float("inf"), "other": 1.5, "said": "text"}, "failed", "≤ 1")
    read = json.loads(json.dumps(row.as_json(), allow_nan=False))
    assert read["values"] == {"apart": "inf", "other": 1.5, "said": "text"} and read["note"] == "≤ 1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0"),
        (1234.5, "1,234"),
        (0.00012, "1.2e-04"),
        (3.14159, "3.142"),
        (70000, "70,000"),
        ("a|b", "a\\|b"),
    ],
)
def test_figures_are_shown_short(value, text):
    assert shown(value) == text
