"""How every command of the project ends: a status, and one line for a mistake."""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from utils.errors import UserError
from utils.visible import visible

_HOME = re.compile(r"((?:--)?[\w.-]+=)(~(?:/.*)?)", re.DOTALL)  # --output=~/photos, data.train.hr=~/photos

# How long threads that wait for each other spin before they sleep. By default so long that a training on all cores
# collapses as soon as another process wants one of them (benchmarks/busy_machine.py). Read by OpenMP when
# torch is imported, which every command does after this.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")


def run(main: Callable[[list[str]], int]) -> int:
    """Call `main` with the arguments and turn what a user can mend into one line on stderr.

    An argument `name=~/…` means the home folder, as `name ~/…` does.

    Args:
        main: takes the arguments, returns the exit status.

    Returns:
        main's status; 2 after a mistake; 130 after Ctrl-C; 141 when the reader of our output went away.
    """
    try:
        return main([_with_home(argument) for argument in sys.argv[1:]])
    except ModuleNotFoundError as error:
        if (Path(__file__).parents[1] / f"{(error.name or '.').split('.')[0]}").exists():
            raise  # a folder of the project: a defect of ours
        print(f"error: {visible(error.name)} is not installed; `pip install -r requirements.txt`", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `… | head`: not an error; keep Python from complaining again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 2
    finally:  # the last to be registered is the first to run: a late Ctrl-C would print a traceback out of torch's exit
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


def one_line(error: BaseException | str) -> str:
    """A text or an error's text on one line, fit for a terminal, or the error's type where it has none."""
    return visible(" ".join(str(error).split())) or type(error).__name__


def _with_home(argument: str) -> str:
    """Shells put the home folder in for `~` at the beginning of a word alone."""
    found = _HOME.fullmatch(argument)
    return argument if found is None else found[1] + os.path.expanduser(found[2])  # noqa: PTH111 — keeps the slashes
