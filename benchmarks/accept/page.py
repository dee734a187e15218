"""The results as one Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.accept.results import MARKS, Row, shown
from benchmarks.accept.step import Step
from benchmarks.accept.verdict import verdict


def page(machine: dict[str, str], steps: Sequence[Step], rows: Sequence[Row], *, finished: bool, command: str) -> str:
    """The whole page; also of a run that is still going on."""
    name = machine.get("device", "a device")
    lines = [f"# Acceptance on {name}", "", *(_verdict(steps, rows) if finished else ["**Still running.**"]), ""]
    lines += [f"{headline}\n" for headline in _headlines(rows)]
    if "CPU" in name:
        lines += [
            "On a CPU networks and batches are small, and what is held against the CPU is held against itself.",
            "",
        ]
    lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in machine.items()), ""]
    lines += [*_summary(steps, rows), ""]
    group = None
    for step in steps:
        own = [row for row in rows if row.step == step.name]
        if not own:
            continue
        if step.group != group:
            group = step.group
            lines += [f"## {group[0].upper()}{group[1:]}", ""]
        lines += [f"### {step.title}", "", step.about, "", *_table(own), ""]
    lines += [f"Made by `{command}`; ✓: as wanted, –: not possible here, no mark: stated, nothing was wanted.", ""]
    return "\n".join(lines)


def _verdict(steps: Sequence[Step], rows: Sequence[Row]) -> list[str]:
    found, titles = verdict(steps, rows), {step.name: step.title for step in steps}
    checks = found.passed + len(found.failed)
    unrun = f" Not run: {', '.join(step.title for step in found.unrun)}." if found.unrun else ""
    cases = f" Cases that were not run: {found.cases_unrun}." if found.cases_unrun else ""
    if found.failed:
        lines = [f"- {titles[row.step]}: {row.case}: {_why(row)}" for row in found.failed]
        return [f"**Not accepted: {len(found.failed)} of {checks} checks failed.**{unrun}{cases}", "", *lines]
    if unrun:
        return [f"**Not finished: the {checks} checks that were made passed.**{unrun}{cases}"]
    if not checks:
        return [f"**Measured; these steps check nothing.**{cases}"]
    return [f"**Accepted: {checks} checks were made and all passed.**{cases}"]


def _why(row: Row) -> str:
    figures = ", ".join(f"{name} {shown(value)}" for name, value in row.values.items())
    return f"{figures} (wanted: {shown(row.note)})" if figures else shown(row.note)


def _summary(steps: Sequence[Step], rows: Sequence[Row]) -> list[str]:
    """Each step in a line: its checks, and how long it took."""
    lines = ["| step | passed | failed | not run | seconds |", "|---|---:|---:|---:|---:|"]
    for step in steps:
        own = [row for row in rows if row.step == step.name]
        count = [sum(row.verdict == kind for row in own) for kind in ("passed", "failed", "not run")]
        seconds = f"{max((row.seconds for row in own), default=0):.0f}"
        lines.append(f"| {step.title} | {' | '.join(str(number or '') for number in count)} | {seconds} |")
    return lines


def _headlines(rows: Sequence[Row]) -> list[str]:
    """The ratios to the released programs' way, which is what the speed is judged by."""
    ratios = [(row.case, row.values["ratio"]) for row in rows if row.step == "released_way" and "ratio" in row.values]
    if not ratios:
        return []
    text = ", ".join(f"{case} {ratio:.1f} ×" for case, ratio in ratios)
    return [f"Training beside the released programs' way of the same iteration, images per second: {text}."]


def _table(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    marks, notes = any(row.verdict != "stated" for row in rows), any(row.note for row in rows)
    head = ["", *names, *(["verdict"] if marks else []), *(["wanted, or why"] if notes else [])]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        cells = [shown(row.case), *(shown(row.values.get(name)) for name in names)]
        cells += [MARKS[row.verdict]] if marks else []
        cells += [shown(row.note)] if notes else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines
