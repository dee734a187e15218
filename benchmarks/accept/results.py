"""What steps give: rows, each a line of JSON and a line of a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

Verdict = Literal["passed", "failed", "stated", "not applicable", "not run"]
MARKS = {"passed": "✓", "failed": "✗ FAILED", "stated": "", "not applicable": "–", "not run": "not run"}


@dataclass
class Row:
    """One result of a step; the rows of a step have the same `values` names, which become the table's columns."""

    case: str
    values: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict = "stated"
    note: str = ""
    """What was wanted, why it failed, why it was not run."""
    step: str = ""
    """Name of the step; the runner's to fill, as `seconds` is."""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """As JSON has it: a number that is not finite is a text."""
        values = {name: str(v) if isinstance(v, float) and not isfinite(v) else v for name, v in self.values.items()}
        return {**asdict(self), "values": values}


def judged(case: str, values: dict[str, Any], passed: bool, wanted: str) -> Row:
    """A row with a verdict: `wanted` says what was asked for."""
    return Row(case, values, "passed" if passed else "failed", wanted)


def not_applicable(case: str, why: str) -> Row:
    return Row(case, {}, "not applicable", why)


def too_large(case: str) -> Row:
    """What a device of this memory cannot do: no fault of it."""
    return not_applicable(case, "does not fit into the device's memory")


def no_time() -> Row:
    """A step that cannot even begin in its time."""
    return Row("all", verdict="not run", note="its processes alone would take longer than its time")


def no_time_left(case: str) -> Row:
    """A case that was not begun: the step's time was over, or this one would have taken longer than what is left."""
    return Row(case, verdict="not run", note="no time was left")


def shown(value: Any) -> str:
    """A value as a table shows it: four figures of a number, – for none."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value).replace("|", "\\|").replace("\n", " ")
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or 1e-2 <= abs(value) < 1e5:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:.1e}"
