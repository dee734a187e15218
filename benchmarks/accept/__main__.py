"""Accept a device: is it right, is it fast, and by how much?

    python -m benchmarks.accept [--device cuda] [--minutes 6] [--output DIR] [--steps parity resume …]

In this order: golden outputs and golden trainings, several processes, training speed and memory of the papers' own
sizes, restoring speed, and how long the papers' schedules take. Every step has a share of the minutes and does what
fits into it. Results are written as they come: DIR/results.jsonl, a line each, and DIR/accept.md, one page.
The status is 0 only if every step ran and every check passed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from math import inf
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main(argv: list[str]) -> int:
    """Parse, run, write; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accept", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = "cuda (default; CUDA_VISIBLE_DEVICES chooses one of several), or cpu, with small networks"
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"), help=which)
    parser.add_argument("--minutes", type=float, default=6, help="of all steps together (default 6)")
    parser.add_argument("--output", type=Path, default=Path("results/accept"), metavar="DIR")
    parser.add_argument("--golden", type=Path, default=ROOT / "tests" / "golden", help="folder of the golden files")
    parser.add_argument("--steps", nargs="*", metavar="NAME", help="only these steps or groups")
    parser.add_argument("--overwrite", action="store_true", help="replace the page and the rows that are in DIR")
    arguments = parser.parse_args(argv)

    import torch

    from benchmarks.accept.page import page
    from benchmarks.accept.results import Row
    from benchmarks.accept.runner import Settings, run_steps
    from benchmarks.accept.steps import STEPS
    from benchmarks.accept.verdict import verdict
    from utils.errors import UserError
    from utils.files import check_new, write_atomically

    known = {name for step in STEPS for name in (step.name, step.group)}
    if unknown := set(arguments.steps or ()) - known:
        raise UserError(f"--steps {sorted(unknown)[0]}: not known; there are {', '.join(step.name for step in STEPS)}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no CUDA device; install a CUDA build, or use --device cpu")
    if not 0 < arguments.minutes < inf:
        raise UserError(f"--minutes {arguments.minutes:g}: must be above 0")
    if not (arguments.golden / "metrics.npz").is_file():
        raise UserError(f"--golden {arguments.golden}: holds no golden files; leave it out for the project's own")
    chosen = [s for s in STEPS if not arguments.steps or {s.name, s.group} & set(arguments.steps)]
    output = arguments.output
    for file in ("accept.md", "results.jsonl"):
        check_new(output / file, overwrite=arguments.overwrite)
    write_atomically(output / "results.jsonl", b"")
    (output / "log.txt").write_text("")
    command = f"python -m benchmarks.accept {shlex.join(argv)}".rstrip()
    machine: dict[str, str] = {}
    rows: list[Row] = []

    def write(finished: bool) -> None:
        text = page(machine, chosen, rows, finished=finished, command=command)
        write_atomically(output / "accept.md", text.encode())

    def report(row: Row) -> None:
        rows.append(row)
        with (output / "results.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row.as_json(), ensure_ascii=False, allow_nan=False) + "\n")
        figures = ", ".join(f"{name} {value}" for name, value in row.values.items())
        print(f"{row.verdict:14} {row.step}: {row.case}: {figures} {row.note}".rstrip(), flush=True)
        write(finished=False)

    settings = Settings(arguments.device, arguments.golden.resolve(), output.resolve() / "log.txt")
    try:
        run_steps(chosen, settings, 60 * arguments.minutes, report, machine.update)
    finally:  # Ctrl-C too: what did not run, the page says
        write(finished=True)
    found = verdict(chosen, rows)
    said = "accepted" if found.accepted else f"{len(found.failed)} failed, {len(found.unrun)} steps did not run"
    print(f"\n{output / 'accept.md'}: {said}")
    return 0 if found.accepted else 1


if __name__ == "__main__":
    from utils.cli import run

    sys.exit(run(main))
