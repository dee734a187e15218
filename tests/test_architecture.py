"""The rooms of docs/architecture.md: who may import whom."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Room -> the rooms that it may import beside itself.
MAY_IMPORT = {
    "utils": set(),
    "models": {"utils"},
    "losses": {"utils"},
    "data": {"utils"},
    "evaluation": {"models", "losses", "data", "utils"},
    "training": {"evaluation", "models", "losses", "data", "utils"},
}
# `training` uses these of `evaluation`; the reverse is never allowed.
OF_EVALUATION = {"evaluation.inference", "evaluation.metrics", "evaluation.complexity"}


def our_files():
    """The project's own Python files; a virtual environment may lie beside them under any name."""
    foreign = {"datasets", "experiments", "results"} | {path.parent.name for path in ROOT.glob("*/pyvenv.cfg")}
    return [path for path in ROOT.rglob("*.py") if not foreign & set(path.relative_to(ROOT).parts)]


def imports(path):
    """Full names of the project's modules that a file imports, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [node.module]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in {*MAY_IMPORT, "train", "test", "tests"})


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_they_may(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            other = name.split(".")[0]
            assert other == room or other in MAY_IMPORT[room], f"{path.relative_to(ROOT)} imports {name}"
            if room == "training" and other == "evaluation":
                assert name in OF_EVALUATION, f"{path.relative_to(ROOT)} imports {name}"


def test_nothing_that_scores_imports_the_restoring_of_photos():
    files = [path for path in (ROOT / "evaluation").rglob("*.py") if "restoring" not in path.parts]
    assert len(files) > 10
    for path in files:
        assert not any(name.startswith("evaluation.restoring") for name in imports(path)), path


def test_the_programs_at_the_top_are_imported_by_nothing():
    for path in our_files():
        assert not {"train", "test"} & set(imports(path)), path


def test_only_conftest_imports_something_private_of_torch():
    for path in our_files():
        if path == ROOT / "tests" / "conftest.py":
            continue
        assert not re.search(r"^\s*(?:from|import) torch\S*\._", path.read_text(encoding="utf-8"), re.M), path


def test_files_stay_small():
    long = {
        str(path.relative_to(ROOT)): count
        for folder in MAY_IMPORT
        for path in (ROOT / folder).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long
