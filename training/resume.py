"""Where a run goes on: the checkpoint, what has changed since it was made, and optimisers as the options say now."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from data.datasets import PatchDataset
from models import WeightsError, build_generator
from models.weight_files import read_tensors
from training.options import TrainOptions
from training.run_folder import CheckpointError, RunFolder, read_checkpoint, weights_of
from utils.cli import one_line
from utils.errors import UserError
from utils.files import write_atomically
from utils.options import differences, to_yaml
from utils.visible import visible

# Read when a stage begins, and never again.
_OF_THE_BEGINNING = re.compile(r"start|generator\.weights|stages\.\d+\.init(_may_differ)?(\..+)?")
_STAGE = re.compile(r"stages\.(\d+)\.")


def starting_point(
    options: TrainOptions, folders: list[RunFolder], resume: str | None, *, say: bool
) -> tuple[int, dict[str, Any] | None]:
    """The stage to start with, and the state to start it from (None: its beginning).

    Args:
        resume: as `run_experiment` takes it.
        say: whether this process talks and writes: a damaged `last.safetensors` of a finished stage is made again.

    Raises:
        UserError: `resume` is None and there are checkpoints, or a newer one than the one named.
        CheckpointError: the one named is damaged or of another experiment; with "auto": all of a stage are damaged.
    """
    started = [folder for folder in folders if folder.iterations()]
    if resume is None:
        if started:
            raise UserError(
                f"{options.folder}: holds a run with checkpoints; go on with `--resume auto`, "
                "choose another `name`, or remove the folder"
            )
        return 0, None
    if resume != "auto":
        return _named(options, folders, resume, say)
    for position in reversed(range(len(folders))):
        folder, stage = folders[position], options.stages[position]
        state, damaged = folder.newest()
        if state is None and damaged:
            listed = "; ".join(damaged[:3]) + (f"; and {len(damaged) - 3} more" if len(damaged) > 3 else "")
            raise CheckpointError(
                f"no checkpoint of stage {stage.name!r} is whole: {listed}; get a copy of one, or move the folder "
                f"{folder.checkpoints} away to begin the stage anew"
            )
        for line in damaged if say else ():
            print(f"{one_line(line)}; going back to the checkpoint before", file=sys.stderr)
        if state is None:
            continue
        finished = _place(state, options) >= stage.iterations
        if finished and say:
            _mend_last(options, folder, state)
        validated = not options.data.validation or state.get("validated", state["iteration"]) == state["iteration"]
        goes_on = finished and validated and position + 1 < len(folders)
        position += goes_on
        _announce(state, options, position, str(folder.checkpoint(state["iteration"])), say)
        return position, None if goes_on else state
    if say:
        print(f"{visible(options.folder)}: no checkpoint yet; starting from the beginning", file=sys.stderr)
    return 0, None


def _named(
    options: TrainOptions, folders: list[RunFolder], resume: str, say: bool
) -> tuple[int, dict[str, Any] | None]:
    state = read_checkpoint(Path(resume))
    names = [stage.name for stage in options.stages]
    if state["stage"] not in names:
        raise CheckpointError(f"{resume}: of stage {state['stage']!r}; this experiment's are {', '.join(names)}")
    position = names.index(state["stage"])
    newer = [folders[position].checkpoint(i) for i in folders[position].iterations() if i > state["iteration"]]
    newer += [folder.checkpoint(i) for folder in folders[position + 1 :] for i in folder.iterations()]
    if newer:  # the next `--resume auto` would take it up again
        raise UserError(f"{resume}: {newer[0]} is newer; move it away, or choose another `name` to branch off")
    _announce(state, options, position, resume, say)
    return position, state


def _place(state: dict[str, Any], options: TrainOptions) -> int:
    """Where in its stage's `iterations` a checkpoint is: by the clock, whatever number of iterations was done."""
    by_the_clock = options.runtime.minutes is not None and state.get("budget") is not None
    return state["budget"]["place"] if by_the_clock else state["iteration"]


def _mend_last(options: TrainOptions, folder: RunFolder, state: dict[str, Any]) -> None:
    """Make `last.safetensors` again where it does not hold the weights of the checkpoint that the stage ended with."""
    tensors = state["ema"] or state["networks"]["generator"]
    try:
        found = read_tensors(folder.last)
        if found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors):
            return
    except WeightsError:
        pass  # missing, or cut short
    generator = build_generator(options.generator)
    try:
        generator.load_state_dict(tensors)
    except RuntimeError:
        return  # another network: what takes up the weights says so
    write_atomically(folder.last, weights_of(generator, options.name, state["stage"], state["iteration"]))
    where = folder.checkpoint(state["iteration"])
    print(visible(f"{folder.last}: missing or damaged; made again from {where}"), file=sys.stderr)


def _announce(state: dict[str, Any], options: TrainOptions, position: int, where: str, say: bool) -> None:
    """Say where a run goes on, in the stage of `position`, and what has changed since the checkpoint was made."""
    if not say:
        return
    print(visible(f"resuming from {where} (stage {state['stage']}, iteration {state['iteration']})"), file=sys.stderr)
    for line in differences(state["options"], to_yaml(options)):
        key = line.partition(": ")[0]
        stage = _STAGE.match(key)
        over = _OF_THE_BEGINNING.fullmatch(key) or (stage is not None and int(stage[1]) < position)
        print(
            ("changed since, too late for this run: " if over else "changed since: ") + visible(line), file=sys.stderr
        )


def fingerprint(dataset: PatchDataset) -> dict[str, Any]:
    """How many images a data set draws from, and a digest of their names and contents."""
    digest = hashlib.sha256()
    for source in dataset.sources:
        for name in source.names:
            digest.update(f"{name!r} {source.hr_records[name].get('source_sha256')}\n".encode())
    return {"count": sum(len(source.names) for source in dataset.sources), "digest": digest.hexdigest()}


def announce_images(before: dict[str, Any] | None, now: dict[str, Any]) -> None:
    """Say where a run goes on with other images than it was stopped with."""
    if before is not None and before != now:
        how = f"{before['count']} → {now['count']}" if before["count"] != now["count"] else "others among them"
        print(f"changed since: the training images: {how}", file=sys.stderr)


def load_optimizer(optimizer: Optimizer, saved: dict[str, Any], where: str) -> None:
    """The averages of a checkpoint's optimiser; betas, momentum, decay and kernel stay as the options say now.

    Args:
        saved: the `state_dict` of the optimiser that the checkpoint was made with.
        where: the checkpoint, for errors.

    Raises:
        CheckpointError: it was an optimiser of another kind.
        ValueError: other parameters, or averages of another shape than theirs.
    """
    now, before = optimizer.state_dict()["param_groups"], saved["param_groups"]
    if ["betas" in group for group in now] != ["betas" in group for group in before]:
        raise CheckpointError(
            f"{where}: the averages of Adam, SGD and Muon cannot stand for each other; set optimizer.type back, "
            "or choose another `name` and give the weights under `init`"
        )
    # The learning rate is a function of the iteration, set before it is used.
    before = [{**mine, "lr": theirs["lr"], "params": theirs["params"]} for mine, theirs in zip(now, before)]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": before})
    for parameter, averages in optimizer.state.items():
        for name, average in averages.items():  # a number is a step
            if isinstance(average, Tensor) and average.ndim and average.shape != parameter.shape:
                raise ValueError(f"{name} of shape {tuple(average.shape)} for weights of {tuple(parameter.shape)}")
