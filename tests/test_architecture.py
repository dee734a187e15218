"""The folders of docs/architecture.md: who may import whom, no circle, small files and folders."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Folder -> the folders that it may import beside itself: one direction, from `utils` up to `benchmarks`.
MAY_IMPORT = {
    "utils": set(),
    "models": {"utils"},
    "losses": {"utils"},
    "data": {"utils"},
    "metrics": {"models", "losses", "data", "utils"},
    "inference": {"models", "losses", "data", "utils"},
    "training": {"metrics", "inference", "models", "losses", "data", "utils"},
    "evaluation": {"metrics", "inference", "models", "losses", "data", "utils"},
    "commands": {"evaluation", "metrics", "inference", "models", "losses", "data", "utils"},
    "benchmarks": {"commands", "training", "evaluation", "metrics", "inference", "models", "losses", "data", "utils"},
}
LONGEST_FILE = 300  # lines of code
MOST_FILES = 14  # Python files side by side


def our_files() -> list[Path]:
    """The project's own Python files; a virtual environment may lie beside them under any name."""
    foreign = {"datasets", "experiments", "results"} | {path.parent.name for path in ROOT.glob("*/pyvenv.cfg")}
    return [path for path in ROOT.rglob("*.py") if not foreign & set(path.relative_to(ROOT).parts)]


def modules() -> dict[str, Path]:
    """The modules of the product by their full names."""
    found = {}
    for folder in MAY_IMPORT:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The project's modules that a file imports: anywhere in it, those for type checking included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known or node.module in known:
                    yield inner if inner in known else node.module


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules that import each other (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in graph[name]:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_no_circle_of_imports() -> None:
    known = modules()
    graph = {name: set(imports(path, known)) - {name} for name, path in known.items()}
    assert sum(map(len, graph.values())) > 300, "the graph is empty: this test would find nothing"
    assert not circles(graph)


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folders_import_only_what_they_may(folder: str) -> None:
    known = modules()
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path, known):
            other = name.split(".")[0]
            assert other == folder or other in MAY_IMPORT[folder], f"{path.relative_to(ROOT)} imports {name}"


def test_the_programs_at_the_top_are_imported_by_nothing() -> None:
    for path in our_files():
        names = {alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.Import) for alias in node.names}
        assert not {"train", "test"} & names, path


def test_only_conftest_imports_something_private_of_torch() -> None:
    for path in our_files():
        if path == ROOT / "tests" / "conftest.py":
            continue
        assert not re.search(r"^\s*(?:from|import) torch\S*\._", path.read_text(encoding="utf-8"), re.M), path


def test_files_stay_small() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in modules().values()
        if (count := lines_of_code(path.read_text(encoding="utf-8"))) > LONGEST_FILE
    }
    assert not long


def lines_of_code(text: str) -> int:
    """Lines that are neither blank nor a comment."""
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in text.splitlines())


def test_folders_stay_small() -> None:
    crowded = {}
    for folder in {path.parent for path in modules().values()} - {ROOT / "models"}:  # a file for each network
        if (count := len(list(folder.glob("*.py")))) > MOST_FILES:
            crowded[str(folder.relative_to(ROOT))] = count
    assert not crowded
