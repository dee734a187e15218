"""Evaluate, restore, score, export, interpolate, calibrate: `python test.py [COMMAND] …`; by default evaluate."""

import sys
from importlib import import_module

from utils.cli import run

COMMANDS = {
    "evaluate": "commands.evaluate",
    "restore": "commands.restore",
    "score": "commands.score",
    "export": "commands.export",
    "interpolate": "commands.interpolate",
    "calibrate": "commands.calibrate",
}
"""Name -> module with `parse(argv)`, which returns a namespace, and `main(namespace)`, which returns the status."""


def main(argv: list[str]) -> int:
    """Run the command that `argv` begins with; returns the exit status."""
    named = argv[:1] and argv[0] in COMMANDS
    command = import_module(COMMANDS[argv[0] if named else "evaluate"])
    return command.main(command.parse(argv[1:] if named else argv))


if __name__ == "__main__":
    sys.exit(run(main))
