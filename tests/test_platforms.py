"""The project runs on Linux and macOS: what only one of them has is asked for in one place, with an answer for both."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ("data", "evaluation", "losses", "models", "training", "utils")
# What Python's documentation marks as there on Linux and not on macOS.
LINUX_ONLY = {
    "os": {
        "copy_file_range", "eventfd", "getrandom", "memfd_create", "O_DIRECT", "O_PATH", "O_TMPFILE", "pidfd_open",
        "pipe2", "posix_fadvise", "posix_fallocate", "sched_getaffinity", "sched_setaffinity", "setns", "splice",
        "timerfd_create", "unshare", "fdatasync", "listxattr", "getxattr", "setxattr",
    },
    "signal": {"pidfd_send_signal", "sigtimedwait", "sigwaitinfo", "SIGRTMIN", "SIGRTMAX", "SIGPOLL", "SIGPWR"},
    "resource": {"prlimit", "RUSAGE_THREAD"},
    "time": {"CLOCK_BOOTTIME", "CLOCK_TAI"},
    "socket": {"SO_BINDTODEVICE", "TCP_USER_TIMEOUT"},
    "select": {"epoll"},
}  # fmt: skip
LINUX_PATHS = ("/proc/", "/sys/")
# Files that ask, and have an answer of their own where there is none.
MAY_ASK = {"utils/cores.py": {"os.sched_getaffinity"}, "utils/memory.py": {"/proc/", "/sys/"}}


def linux_only(text):
    """What a program's text asks of the system that Linux alone has; docstrings say what they like."""
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in LINUX_ONLY.get(node.value.id, ()):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in LINUX_ONLY:
            yield from (f"{node.module}.{a.name}" for a in node.names if a.name in LINUX_ONLY[node.module])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from (path for path in LINUX_PATHS if node.value.startswith(path))


@pytest.mark.parametrize("room", PROGRAM)
def test_nothing_asks_linux_alone(room):
    for path in [*(ROOT / room).rglob("*.py"), ROOT / "train.py", ROOT / "test.py"]:
        name = str(path.relative_to(ROOT))
        found = set(linux_only(path.read_text(encoding="utf-8")))
        assert found == MAY_ASK.get(name, set()), name


def test_the_search_finds_what_it_looks_for():
    text = "import os\nfrom os import pipe2\nn = len(os.sched_getaffinity(0))\nopen('/proc/meminfo')\n"
    assert set(linux_only(text)) == {"os.pipe2", "os.sched_getaffinity", "/proc/"}
    assert not set(linux_only('"""Reads /proc/meminfo."""\nimport os\nos.cpu_count()\n'))
