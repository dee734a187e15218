"""What is printed of names, addresses and errors steers no terminal: it passes `visible` or `one_line` first."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Words of variables that hold text of unknown origin.
UNKNOWN = re.compile(r"(^|_)(paths?|folder|output|store|url|address|error|why|where|target|source|last)$")
SAFE = {"visible", "one_line", "len", "type"}


def printed(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of `print`, `tqdm.write`, `bar.write` and `say`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "tqdm.write", "bar.write") or called.endswith("say"):
                yield node


def unsafe(node: ast.AST) -> Iterator[str]:
    """Variables of unknown text below a node that pass no function of `SAFE`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in SAFE:
        return
    word = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if UNKNOWN.search(word):
        yield ast.unparse(node)
        return
    if isinstance(node, ast.Attribute) and word not in ("name", "stem", "suffix", "parent"):
        return  # something of it that is not its name: a number, say
    for child in ast.iter_child_nodes(node):
        yield from unsafe(child)


def found_in(source: str) -> list[str]:
    """What is printed raw."""
    calls = printed(ast.parse(source))
    return [f"{call.lineno}: {name}" for call in calls for argument in call.args for name in unsafe(argument)]


def test_no_text_of_unknown_origin_is_printed_raw():
    files = [path for folder in ROOT.iterdir() if folder.is_dir() and folder.name not in ("tests", "benchmarks")
             for path in folder.rglob("*.py") if (ROOT / "docs") not in path.parents]  # fmt: skip
    assert len(files) > 150
    assert [f"{path}:{what}" for path in files for what in found_in(path.read_text(encoding="utf-8"))] == []


def test_raw_names_would_be_found():
    assert found_in("print(f'{job.source}: {error}')\nprint(visible(path), f'{one_line(error)}', len(paths))") == [
        "1: job.source",
        "1: error",
    ]
