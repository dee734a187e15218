"""Text of unknown origin (names of files, tensors, servers) as it may leave to a terminal, a table or a page."""

from __future__ import annotations

import re

# Control characters of both ranges; marks that turn the direction of writing; separators of lines and paragraphs, the
# byte order mark; and surrogates, which stand for bytes of names that are not UTF-8.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_FORMULA = ("=", "+", "-", "@")  # what spreadsheets compute when a cell begins with it, as they do after tabs


def visible(text: object) -> str:
    """`text` on one line, with every character that is not seen, or that steers what shows it, written out: `\\x1b`.

    A byte that is not UTF-8 in a file's name becomes `\\xe9` too, so that the result can always be encoded.
    """
    return _HIDDEN.sub(_written_out, str(text))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in (9, 10, 13):
        return {9: "\\t", 10: "\\n", 13: "\\r"}[code]
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def csv_cell(text: object) -> str:
    """`visible` text as a cell of a CSV file: what a spreadsheet would take for a formula begins with an apostrophe."""
    shown = visible(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown
