"""Whether a device is accepted: every step ran and every check passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.accept.results import Row
from benchmarks.accept.step import Step


@dataclass(frozen=True)
class Verdict:
    """What the rows say together."""

    passed: int
    """Checks that passed; rows without a wanted value are none."""
    failed: list[Row]
    unrun: list[Step]
    """Steps of which nothing ran."""
    cases_unrun: int
    """Rows of the other steps that did not run."""

    @property
    def accepted(self) -> bool:
        return not self.failed and not self.unrun


def verdict(steps: Sequence[Step], rows: Sequence[Row]) -> Verdict:
    """Of all steps that were asked for; one without rows did not run."""
    ran = {row.step for row in rows if row.verdict != "not run"}
    return Verdict(
        passed=sum(row.verdict == "passed" for row in rows),
        failed=[row for row in rows if row.verdict == "failed"],
        unrun=[step for step in steps if step.name not in ran],
        cases_unrun=sum(row.verdict == "not run" and row.step in ran for row in rows),
    )
