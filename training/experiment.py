"""An experiment: all stages in order, from the start or from a checkpoint."""

from __future__ import annotations

from contextlib import ExitStack

import torch

from data.datasets import PatchDataset
from data.image_sets import image_sets
from data.prepare import prepare_for
from models import GENERATORS, Generator, build_generator, load_weights
from training.loop.stopping import Stopped
from training.loop.time_budget import TimeBudget
from training.loop.trainer import Trainer
from training.loop.trainer_by_clock import TrainerByClock
from training.options import StageOptions, TrainOptions
from training.recipes import RECIPES
from training.resume import announce_images, starting_point
from training.run_folder import RunFolder
from training.runtime import Runtime
from training.validation import Validator
from utils.errors import UserError
from utils.files import locked, write_atomically
from utils.options import to_yaml


def run_experiment(options: TrainOptions, resume: str | None) -> int:
    """Train all stages that are not done yet.

    Args:
        resume: None: start anew, which is refused if the run folder holds checkpoints; "auto": continue from the
            newest intact checkpoint, or start if there is none; else the path of a checkpoint of one of the stages.

    Returns:
        0 when all stages are done; 128 + the signal's number when one stopped the run.

    Raises:
        UserError: an error in options, data, folders or checkpoints that a user can fix.
    """
    runtime = Runtime(options.runtime)
    check_batches(options, runtime.ranks)
    folders = [RunFolder(options.folder / stage.name) for stage in options.stages]
    # Names and file headers only, so that a mistake shows before anything slow and before anything is written.
    image_sets(options.data.train)
    for stage in options.stages:
        Validator(options.data.validation, options.generator.scale, stage.validation, runtime)
    with ExitStack() as held:
        if runtime.is_main:
            held.enter_context(locked(options.folder / ".lock", wait=False))
        first, state = starting_point(options, folders, resume, say=runtime.is_main)
        runtime.accelerator.wait_for_everyone()  # the main process may have repaired a file that all read
        for stage in options.stages[first:]:
            stage.recipe.check()
        if first == 0 and state is None and options.stages[0].init is not None:
            load_init(starting_generator(options), options.stages[0])
        check_validation(options, first, runtime)
        prepare_for(options.data.train, options.generator.scale, progress=runtime.is_main)
        budget = _budget(options, runtime, folders[:first], state)
        for position in range(first, len(options.stages)):
            stage = options.stages[position]
            # The same weights on every process and at every resume; recipes draw random numbers only for weights.
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
            dataset = patches(options, position)
            of_stage = (options, position, generator, dataset, folders[position], runtime)
            trainer = Trainer(*of_stage) if budget is None else TrainerByClock(*of_stage, budget)
            if state is not None:
                if runtime.is_main:
                    announce_images(state.get("images"), trainer.images)
                trainer.load_state(state)
                state = None
            try:
                trainer.run()
            except Stopped as stopped:
                runtime.close()
                return 128 + stopped.signal
    runtime.close()
    return 0


def patches(options: TrainOptions, position: int) -> PatchDataset:
    """The training patches of a stage, with the inputs that its recipe and generator need besides LR and HR.

    Raises:
        StoreError, ImageError: see `PatchDataset`.
    """
    return PatchDataset(
        options.data.train,
        options.generator.scale,
        options.seed,
        clean_lr=RECIPES[options.stages[position].recipe.type].needs_clean_lr,
        steps=GENERATORS[options.generator.type].reads_steps,
    )


def check_batches(options: TrainOptions, processes: int) -> None:
    """Raise UserError for a stage whose batch cannot be divided among the processes."""
    for position, stage in enumerate(options.stages):
        if stage.batch_size % (stage.accumulate * processes):
            raise UserError(
                f"stages.{position}.batch_size {stage.batch_size} is not a multiple of "
                f"{stage.accumulate} micro-batches × {processes} processes"
            )


def check_validation(options: TrainOptions, first: int, runtime: Runtime) -> None:
    """Read every validation image once, before anything slow, and score the images that may be too small.

    Raises:
        UserError: an image is damaged or too small; names it.
    """
    looked_at = set()
    for stage in options.stages[first:]:
        validator = Validator(options.data.validation, options.generator.scale, stage.validation, runtime)
        kind = validator.convention, *validator.metrics
        if kind not in looked_at:
            validator.check(lambda: starting_generator(options))
            looked_at.add(kind)


def _budget(options: TrainOptions, runtime: Runtime, done: list[RunFolder], state: dict | None) -> TimeBudget | None:
    """The clock of a run that ends by the clock, at the time that the stages `done` took, or at that of `state`."""
    if options.runtime.minutes is None:
        return None
    budget = TimeBudget(options.runtime.minutes, [stage.iterations for stage in options.stages], runtime)
    if done and state is None and (before := done[-1].newest()[0]) is not None and before.get("budget") is not None:
        budget.resume(before["budget"], len(done) - 1)
    return budget


def starting_generator(options: TrainOptions) -> Generator:
    """The network with its initial weights, before those of any stage.

    Raises:
        UserError: this network cannot `start` so.
        WeightsError: `generator.weights` cannot be loaded.
    """
    generator = build_generator(options.generator)
    generator.calibration = None  # training changes what it was fitted to
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
