"""docs/troubleshooting.md quotes messages; each must be one that the program has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("commands", "data", "evaluation", "inference", "losses", "metrics", "models", "training", "utils")


def texts():
    """All texts of the program but docstrings; what is filled in when it runs as `…`."""
    for path in [ROOT / "train.py", ROOT / "test.py", *(p for f in FOLDERS for p in (ROOT / f).rglob("*.py"))]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield node.value


TEXTS = [" ".join(text.split()) for text in texts()]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"^\| `([^`]+)` \|", PAGE, re.M)


def is_printed(message):
    """Whether a text holds all fixed parts of the message, in order."""
    parts = [part.strip() for part in message.split("…") if part.strip(" :;,()×.")]
    assert parts and max(map(len, parts)) >= 10, f"too little to look for in {message!r}"
    pattern = re.compile(".*".join(map(re.escape, parts)), re.S)
    return any(pattern.search(text) for text in TEXTS)


@pytest.mark.parametrize("message", QUOTED)
def test_every_message_that_is_quoted_is_printed(message):
    assert is_printed(message)


def test_every_row_quotes_one():
    rows = re.findall(r"^\| (?!it says|-)", PAGE, re.M)
    assert len(rows) == len([line for line in PAGE.splitlines() if line.startswith("| `")]) == len(QUOTED) > 30
    assert not is_printed("…: no such message was ever printed; …")
