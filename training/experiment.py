"""An experiment: its stages in order, from scratch or from where a run was stopped."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import torch

from data.datasets import PatchDataset, image_names
from data.prepare import prepare_for
from models import Generator, build_generator, load_weights
from training.options import StageOptions, TrainOptions
from training.recipes import RECIPES
from training.run_folder import CheckpointError, RunFolder, read_checkpoint
from training.runtime import Runtime
from training.time_budget import TimeBudget
from training.trainer import Stopped, Trainer
from training.validation import Validator
from utils.errors import UserError
from utils.files import locked, write_atomically
from utils.options import differences, to_yaml


def run_experiment(options: TrainOptions, resume: str | None) -> int:
    """Train all stages that are not done yet.

    Args:
        resume: None: start anew, refused where the run folder holds checkpoints; "auto": go on from the newest
            whole checkpoint, or start where there is none; else the path of a checkpoint of one of the stages.

    Returns:
        0 when all stages are done; 128 + the signal's number when one stopped the run.

    Raises:
        UserError: and its kinds: anything about options, data, folders or checkpoints that a user can mend.
    """
    runtime = Runtime(options.runtime)
    folders = [RunFolder(options.folder / stage.name) for stage in options.stages]
    # Names and file headers only, so that a mistake shows before anything slow and before anything is written.
    image_names(options.data.train)
    for stage in options.stages:
        Validator(options.data.validation, options.generator.scale, stage.validation, runtime)
    with ExitStack() as held:
        if runtime.is_main:
            held.enter_context(locked(options.folder / ".lock", wait=False))
        first, state = _starting_point(options, folders, resume, say=runtime.is_main)
        for stage in options.stages[first:]:
            RECIPES[stage.recipe.type].check(stage.recipe)
        if first == 0 and state is None and options.stages[0].init is not None:
            load_init(starting_generator(options), options.stages[0])
        prepare_for(options.data.train, options.generator.scale, progress=runtime.is_main)
        budget = _budget(options, runtime, folders[:first], state)
        for position in range(first, len(options.stages)):
            stage = options.stages[position]
            # Same start for every process and every resume; recipes draw random numbers for weights alone.
            torch.manual_seed(options.seed + position)
            generator = starting_generator(options)
            if position and state is None:
                load_weights(generator, folders[position - 1].last)
            elif state is None:
                load_init(generator, stage)
            runtime.accelerator.wait_for_everyone()
            if runtime.is_main:
                folders[position].make()
                write_atomically(folders[position].folder / "options.yml", to_yaml(options).encode())
            runtime.accelerator.wait_for_everyone()
            clean_lr = RECIPES[stage.recipe.type].needs_clean_lr
            dataset = PatchDataset(options.data.train, options.generator.scale, options.seed, clean_lr=clean_lr)
            trainer = Trainer(options, position, generator, dataset, folders[position], runtime, budget)
            if state is not None:
                trainer.load_state(state)
                state = None
            try:
                trainer.run()
            except Stopped as stopped:
                runtime.close()
                return 128 + stopped.signal
    runtime.close()
    return 0


def _budget(options: TrainOptions, runtime: Runtime, done: list[RunFolder], state: dict | None) -> TimeBudget | None:
    """The run's clock, if it has one, at the time that the stages `done` have spent (a `state` says its own)."""
    if options.runtime.minutes is None:
        return None
    budget = TimeBudget(options.runtime.minutes, [stage.iterations for stage in options.stages], runtime)
    if done and state is None and (before := done[-1].newest()[0]) is not None and before.get("budget") is not None:
        budget.resume(before["budget"], len(done) - 1)
    return budget


def starting_generator(options: TrainOptions) -> Generator:
    """The network with its initial weights, before any stage's.

    Raises:
        UserError: `start` is not for this network.
        WeightsError: `generator.weights` cannot be loaded.
    """
    generator = build_generator(options.generator)
    if options.start == "interpolation" and options.generator.weights is None:
        try:
            generator.start_as_interpolation()
        except ValueError as error:
            raise UserError(f"start: {error}") from None
    return generator


def load_init(generator: Generator, stage: StageOptions) -> None:
    """Fill the generator with the stage's `init`, if it has one; tensors of `init_may_differ` keep their values.

    Raises:
        WeightsError: the file is missing or does not fit.
    """
    if stage.init is not None:
        load_weights(generator, stage.init, may_differ=stage.init_may_differ)


def _starting_point(
    options: TrainOptions, folders: list[RunFolder], resume: str | None, *, say: bool
) -> tuple[int, dict | None]:
    """The stage to start with, and the state to start it from (None: its beginning)."""
    started = [folder for folder in folders if folder.iterations()]
    if resume is None:
        if started:
            raise UserError(
                f"{options.folder}: holds a run with checkpoints; go on with `--resume auto`, "
                "choose another `name`, or remove the folder"
            )
        return 0, None
    if resume != "auto":
        state = read_checkpoint(Path(resume))
        names = [stage.name for stage in options.stages]
        if state["stage"] not in names:
            raise CheckpointError(f"{resume}: of stage {state['stage']!r}; this experiment's are {', '.join(names)}")
        position = names.index(state["stage"])
        newer = [folders[position].checkpoint(i) for i in folders[position].iterations() if i > state["iteration"]]
        newer += [folder.checkpoint(i) for folder in folders[position + 1 :] for i in folder.iterations()]
        if newer:  # the next `--resume auto` would take it up again
            raise UserError(f"{resume}: {newer[0]} is newer; move it away, or choose another `name` to branch off")
        return position, _announced(state, options, resume, say)
    for position in reversed(range(len(folders))):
        state, damaged = folders[position].newest()
        for line in damaged if say else ():
            print(f"{line}; going back to the checkpoint before", file=sys.stderr)
        if state is None:
            continue
        iteration = state["iteration"]
        place = iteration if state.get("budget") is None else state["budget"]["place"]
        done = place >= options.stages[position].iterations and folders[position].last.is_file()
        if done and position + 1 < len(folders):
            return position + 1, None
        where = str(folders[position].checkpoint(iteration))
        return position, _announced(state, options, where, say)
    if say:
        print(f"{options.folder}: no checkpoint yet; starting from the beginning", file=sys.stderr)
    return 0, None


def _announced(state: dict, options: TrainOptions, where: str, say: bool) -> dict:
    if say:
        print(f"resuming from {where} (stage {state['stage']}, iteration {state['iteration']})", file=sys.stderr)
        for line in differences(state["options"], to_yaml(options)):
            print(f"changed since: {line}", file=sys.stderr)
    return state
