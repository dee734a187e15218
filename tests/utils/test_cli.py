"""utils.cli: what becomes of arguments and of mistakes, for every command."""

import subprocess
import sys
from pathlib import Path

import pytest

from utils.cli import run
from utils.errors import UserError


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--output=~/photos", "--output={home}/photos"),
        ("--output=~", "--output={home}"),
        ("data.train.hr=~/my photos", "data.train.hr={home}/my photos"),
        ("stages.0.name=a~b", "stages.0.name=a~b"),
        ("~/photos", "~/photos"),  # the shell's matter; quoted, it is meant so
        ("name=x=~/y", "name=x=~/y"),
        ("a b=~/y", "a b=~/y"),
        ("--", "--"),
    ],
)
def test_the_home_folder_behind_an_equals_sign(monkeypatch, tmp_path, given, meant):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["program", given])
    seen = []
    assert run(lambda argv: seen.extend(argv) or 0) == 0
    assert seen == [meant.format(home=tmp_path)]


def test_a_mistake_is_one_line_that_steers_no_terminal(monkeypatch, capsys):
    def main(_):
        raise UserError("\x1b]0;owned\x07.png:\n no image")

    monkeypatch.setattr(sys, "argv", ["program"])
    assert run(main) == 2
    assert capsys.readouterr().err == "error: \\x1b]0;owned\\x07.png: no image\n"


def test_ctrl_c_while_python_exits_prints_nothing():
    code = (
        "import atexit, signal, sys\n"
        "from utils.cli import run\n"
        "def main(_):\n"
        "    atexit.register(signal.raise_signal, signal.SIGINT)  # the key is pressed during exit\n"
        "    return 130\n"
        "sys.exit(run(main))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")
