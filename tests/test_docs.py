"""What the documents say is so."""

import importlib.util
import json
import re
from pathlib import Path

import jsonschema
import pytest

from evaluation.options import EvaluationOptions
from training.options import TrainOptions
from utils.options import load
from utils.options.sources import read_with_bases

ROOT = Path(__file__).parents[1]


def build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_options_page_and_the_schemas_are_what_the_types_say():
    for path, text in build().pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run python docs/build.py"


@pytest.mark.parametrize("path", sorted((ROOT / "options").rglob("*.yml")), ids=lambda path: path.stem)
def test_every_shipped_options_file_is_valid(path):
    data, _ = read_with_bases(path)
    kind = "evaluation" if "models" in data else "training"
    assert load(path, EvaluationOptions if "models" in data else TrainOptions).name
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))[1]
    assert (path.parent / schema).resolve() == ROOT / f"options/schema/{kind}.json"
    jsonschema.validate({**data, "base": "other.yml"}, json.loads((path.parent / schema).read_text(encoding="utf-8")))


def test_the_schema_knows_a_slip():
    schema = json.loads((ROOT / "options/schema/training.json").read_text(encoding="utf-8"))
    path = ROOT / "options/quickstart/cisrnet_x2.yml"
    for section, key, value in [("generator", "num_feats", 24), ("generator", "scale", "two"), ("data", "valid", [])]:
        data, _ = read_with_bases(path)
        data[section][key] = value
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data, schema)


PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "options/gpu/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(path):
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
    for target in re.findall(r"options/[\w/]+\.yml", text):
        assert (ROOT / target).is_file(), target


def test_options_that_bring_released_behaviour_back_exist():
    """Each `key=value` of docs/differences.md changes the options file that its section is about."""
    sections = re.split(r"^## ", (ROOT / "docs/differences.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    count = 0
    for section in sections:
        path = ROOT / re.search(r"options/\S+\.yml", section)[0]
        for override in set(re.findall(r"`([\w.]+=\S+)`", section)):
            changed = load(path, TrainOptions, [override])
            key, value = override.split("=")
            for part in key.split("."):
                changed = changed[int(part)] if part.isdigit() else getattr(changed, part)
            assert str(changed) == value
            count += 1
        for path, key, value in re.findall(r"`bash eval\.sh (options/\S+\.yml) (\w+)=(\S+)`", section):
            assert getattr(load(ROOT / path, EvaluationOptions, [f"{key}={value}"]), key) == value
            assert getattr(load(ROOT / path, EvaluationOptions), key) != value
            count += 1
    assert count >= 9


def test_the_documented_generator_works(tmp_path, monkeypatch):
    """The example of docs/adding_a_generator.md, as it stands there, in a process of its own."""
    import subprocess
    import sys

    example = re.search(
        r"```python\n(# models/sharpen\.py.*?)```", (ROOT / "docs/adding_a_generator.md").read_text(), re.S
    )
    (tmp_path / "sharpen.py").write_text(example[1])
    code = (
        "import sys, torch, models; sys.path.insert(0, sys.argv[1])\n"
        "import sharpen; network = sharpen.Sharpen(sharpen.SharpenOptions(scale=2))\n"
        "assert network(torch.rand(1, 3, 4, 5)).shape == (1, 3, 8, 10)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
