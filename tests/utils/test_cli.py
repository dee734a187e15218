"""How commands begin and end."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["train.py", "test.py"])
@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--no-such-option", 2)])
def test_help_and_misspelt_options_do_not_wait_for_torch(command, argument, status):
    code = (
        "import runpy, sys\n"
        "try:\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    print('torch' in sys.modules, end.code)\n"
    )
    prepared = f"import sys; sys.argv = [{command!r}, {argument!r}]\n{code}"
    done = subprocess.run([sys.executable, "-c", prepared], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"False {status}", done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["test.py", "interpolate", "a", "b", "--output", "c.safetensors"], ["test.py", "restore", "photo.jpg"]],
)
def test_what_is_not_installed_is_named_on_one_line(arguments):
    prepared = (
        f"import runpy, sys; sys.path.insert(0, '.'); sys.argv = {arguments!r}; sys.modules['torch'] = None\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", prepared], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: torch is not installed; `pip install -r requirements.txt`\n"
