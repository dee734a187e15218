"""A training that is killed and resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import soak
from benchmarks.accept.results import Row, judged, no_time
from benchmarks.accept.step import Context
from training.run_folder import RunFolder


def killed_and_resumed(context: Context) -> Iterator[Row]:
    """`train.py` killed by SIGKILL and resumed, against one that was never stopped: the same bytes."""
    if not context.room_for_processes(4 if context.cuda else 2):
        yield no_time()
        return
    photos = soak.write_photos(context.folder / "photos")
    where = [f"runtime.device={context.device.type}", "runtime.deterministic=true", "data.train.workers=0"]
    straight, killed = (
        soak.experiment("supervised", context.folder / name, photos, 30) for name in ("straight", "killed")
    )
    # On the CPU processes are forked from one that has imported everything; CUDA does not live through a fork.
    (soak.finish if context.cuda else _trained)(straight, *where)
    folder = RunFolder(killed.parent / "runs" / "supervised" / "stage0")
    met = _kill_at(3, folder, killed, *where, forked=not context.cuda)
    at = folder.iterations()
    if context.cuda:
        soak.finish(killed, "--resume", "auto", *where)
    else:
        soak.train(killed, "auto", *where)
    found = soak.differences(straight, killed)
    values = {"killed after iteration": at[-1] if at else None, "tensors and files that differ": len(found)}
    yield judged("supervised", values, met and not found, "killed on its way, nothing differs")


def _trained(options: Path, *overrides: str) -> None:
    soak.train(options, None, *overrides)


def _kill_at(iteration: int, folder: RunFolder, options: Path, *overrides: str, forked: bool) -> bool:
    """Start the training and kill it once it has a checkpoint of `iteration`; whether it was still running then."""
    running: Callable[[], bool]
    kill: Callable[[], None]
    end: Callable[[], object]
    if forked:
        child = soak.fork(options, "auto", *overrides)
        running, kill, end = child.is_alive, child.kill, child.join
    else:
        program = soak.start(options, "--resume", "auto", *overrides)
        running, kill, end = (lambda: program.poll() is None), program.kill, program.communicate
    while running() and not [number for number in folder.iterations() if number >= iteration]:
        time.sleep(0.02)
    met = running()
    kill()
    end()
    return met
