"""tests/lowest-requirements.txt pins the lowest versions that the requirements allow."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


# Stubs want the very libraries that they describe: no version is the lowest for all.
NOT_AT_RUN_TIME = "requirements-dev.txt"


def versions(path, sign):
    found = re.findall(rf"^([\w-]+){sign}([\d.]+)$", path.read_text(encoding="utf-8"), re.M)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] not in "#-"]
    assert len(found) == len(lines), f"{path.name}: each line is `name{sign}version`"
    return {name: tuple(map(int, version.split("."))) for name, version in found}


def test_the_lowest_versions_are_those_that_the_requirements_allow():
    allowed = {}
    for path in sorted(ROOT.glob("requirements*.txt")):
        if path.name != NOT_AT_RUN_TIME:
            allowed |= versions(path, ">=")
    pinned = versions(ROOT / "tests" / "lowest-requirements.txt", "==")
    assert pinned.keys() == allowed.keys()
    for name, lowest in allowed.items():
        # A pin may be longer, where no version of just these numbers was released.
        assert pinned[name][: len(lowest)] == lowest and pinned[name] >= lowest, name


def test_torch_is_one_whose_safe_reading_runs_no_code():
    """Before 2.6 `weights_only=True` executed TorchScript archives."""
    pinned = versions(ROOT / "tests" / "lowest-requirements.txt", "==")
    assert pinned["torch"] >= (2, 6)
