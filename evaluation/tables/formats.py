"""A table as text for the screen, as Markdown, as LaTeX (which needs the package booktabs) and as HTML."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from utils.visible import visible

Mark = Literal["best", "second"]


@dataclass(frozen=True)
class Cell:
    """One cell, with invisible characters of its text escaped; `mark` is its rank in its column within the group."""

    text: str = ""
    mark: Mark | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", visible(self.text))


@dataclass
class Table:
    """Rows with a cell for each heading; the first `words` columns hold text, the others numbers.

    Attributes:
        title: a few words.
        caption: sentences about the measurement; text between backticks is code.
        groups: groups of rows that are compared with each other, separated by a rule.
        notes: lines below the table.
    """

    title: str
    headings: list[str]
    words: int
    groups: list[list[list[Cell]]] = field(default_factory=list)
    caption: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def as_text(table: Table) -> str:
    """The table for the screen: aligned columns, without marks."""
    rows = [[cell.text for cell in row] for group in table.groups for row in group]
    lines = [table.title, *(sentence.replace("`", "") for sentence in table.caption), ""]
    lines += _aligned([table.headings, *rows], table.words, "  ", "")
    return "\n".join([*lines, *_below(table.notes)])


def as_markdown(table: Table) -> str:
    """The table in GitHub's Markdown: the best score bold, the second underlined."""
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
    """The table as a LaTeX `table`: the best score bold, the second underlined."""
    wrap = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", None: "{}"}
    lines = [
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{escaped(' '.join([table.title + '.', *table.caption]))}}}",
        r"\smallskip",
        r"\footnotesize",
        # Shrunk if it is wider than the text.
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


def as_html(table: Table) -> str:
    """A heading, the caption, a `<table>` in a block that scrolls horizontally, and the notes; all text is escaped.

    The best score is bold, the second underlined. An empty text cell extends the cell above it.
    """
    wrap = {"best": "<strong>{}</strong>", "second": "<u>{}</u>", None: "{}"}
    title = html.escape(table.title)
    lines = [f"<h3>{title}</h3>"]
    if table.caption:
        lines.append(f'<p class="note">{" ".join(map(html_text, table.caption))}</p>')
    lines.append(f'<div class="wide" role="region" aria-label="{title}" tabindex="0"><table>')
    kinds = [' class="words"'] * table.words + [""] * (len(table.headings) - table.words)
    headings = [
        f'<th{kind} scope="col">{html_text(heading)}</th>' for kind, heading in zip(kinds, table.headings, strict=True)
    ]
    lines.append(f"<thead><tr>{''.join(headings)}</tr></thead>")
    for group in table.groups:
        lines.append("<tbody>")
        for place, row in enumerate(group):
            cells = []
            for column, cell in enumerate(row):
                if column >= table.words:
                    cells.append(f"<td>{wrap[cell.mark].format(html_text(cell.text))}</td>")
                elif cell.text or not place:
                    below = [row[column].text for row in group[place + 1 :]]
                    rows = 1 + sum(1 for _ in takewhile(lambda text: not text, below))
                    span = f' rowspan="{rows}"' * (rows > 1)
                    cells.append(f'<th scope="row"{span}>{html_text(cell.text)}</th>')
            lines.append(f"<tr>{''.join(cells)}</tr>")
        lines.append("</tbody>")
    lines += ["</table></div>", *(f'<p class="note">{html_text(note)}</p>' for note in table.notes)]
    return "\n".join(lines)


def html_text(text: str) -> str:
    """`text` escaped for HTML; text between backticks becomes code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    # In braces: after a row's \\ a bracket would be read as its argument.
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
    """`text` escaped for LaTeX; text between backticks becomes typewriter text."""
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
