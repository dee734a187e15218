"""A table as text for the screen, as Markdown and as LaTeX (which needs the package booktabs)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Mark = Literal["best", "second"]


@dataclass(frozen=True)
class Cell:
    """One cell; `mark` is how it ranks in its column among the rows of its group."""

    text: str = ""
    mark: Mark | None = None


@dataclass
class Table:
    """Rows of as many cells as there are headings; the first `words` columns hold words, the others figures.

    Attributes:
        title: what is in it, a few words.
        caption: sentences that say how the figures were made; Markdown between backticks is code.
        groups: rows that are compared with each other; a rule separates them.
        notes: lines below the table.
    """

    title: str
    headings: list[str]
    words: int
    groups: list[list[list[Cell]]] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def as_text(table: Table) -> str:
    """For the screen: aligned columns, nothing marked."""
    rows = [[cell.text for cell in row] for group in table.groups for row in group]
    lines = [table.title, *(sentence.replace("`", "") for sentence in table.caption), ""]
    lines += _aligned([table.headings, *rows], table.words, "  ", "")
    return "\n".join([*lines, *_below(table.notes)])


def as_markdown(table: Table) -> str:
    """GitHub's Markdown: the best figure bold, the second underlined."""
    wrap = {"best": "**{}**", "second": "<u>{}</u>", None: "{}"}
    rows = [[wrap[cell.mark].format(_no_pipe(cell.text)) for cell in row] for group in table.groups for row in group]
    lines = _aligned([[_no_pipe(heading) for heading in table.headings], *rows], table.words, " | ", "| ")
    rule = "|" + "|".join(
        "-" * (len(part) - 1) + ("-" if place < table.words else ":")
        for place, part in enumerate(re.split(r"(?<!\\)\|", lines[0])[1:-1])
    )
    parts = [f"**{table.title}**", ""]
    parts += [*(_no_pipe(sentence) for sentence in table.caption), ""] if table.caption else []
    return "\n".join([*parts, lines[0], f"{rule}|", *lines[1:], *_below(table.notes, "  ")])


def as_latex(table: Table) -> str:
    """A `table` environment: the best figure bold, the second underlined."""
    wrap = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", None: "{}"}
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escaped(' '.join([table.title + '.', *table.caption]))}}}",
        r"\smallskip",
        r"\footnotesize",
        # No wider than the text; shrunk where it would be.
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
        rf"\begin{{tabular}}{{{'l' * table.words}{'r' * (len(table.headings) - table.words)}}}",
        r"\toprule",
        " & ".join(map(escaped, table.headings)) + r" \\",
    ]
    for group in table.groups:
        lines.append(r"\midrule")
        lines += [" & ".join(wrap[cell.mark].format(escaped(cell.text)) for cell in row) + r" \\" for row in group]
    lines += [r"\bottomrule", r"\end{tabular}}", *(rf"\par {escaped(note)}" for note in table.notes), r"\end{table}"]
    return "\n".join(lines)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    # Braces: a row that begins with a bracket would give it to the \\ before.
    "[": "{[}",
    "]": "{]}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "…": r"\dots{}",
}


def escaped(text: str) -> str:
    """`text` for LaTeX; what stands between backticks becomes typewriter text."""
    parts = []
    for place, part in enumerate(text.split("`")):
        plain = re.sub(r"(?<!\w)-(?=\d|inf)", "−", part)
        latex = "".join(_LATEX.get(character, character) for character in plain)
        parts.append(rf"\texttt{{{latex}}}" if place % 2 else latex)
    return "".join(parts)


def _below(notes: list[str], end: str = "") -> list[str]:
    return ["", *(note + end for note in notes)] if notes else []


def _no_pipe(text: str) -> str:
    return text.replace("|", "\\|")


def _aligned(rows: list[list[str]], words: int, between: str, edge: str) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((edge + between.join(cells) + edge[::-1]).rstrip())
    return lines
