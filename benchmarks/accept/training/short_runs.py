"""Short trainings of every recipe, which steps compare with each other: the soak's tiny networks, two photographs."""

from __future__ import annotations

import torch

from benchmarks import soak
from benchmarks.accept.machine import fresh_runtime
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context
from data.datasets import PatchDataset
from data.prepare import prepare_for
from training.experiment import starting_generator
from training.loop.trainer import Trainer
from training.options import TrainOptions
from training.recipes import RECIPES
from training.run_folder import RunFolder
from utils.options import load

SIDE_BY_SIDE = 24
"""Iterations of the trainings that are compared; of the last third the mean losses must agree."""
MOST_SKIPPED = 20
"""Updates that fp16 may skip while it halves the factor of the loss; they are made again, with the same images."""
BEFORE_CHAOS = 4
"""Iterations with a discriminator that are compared. It amplifies every difference: two such trainings in float32, from
initial weights that differ by a thousandth, are 4 to 7 % apart after 24 iterations."""
AGREE = 0.02


def options_of(context: Context, recipe: str, name: str, *overrides: str, iterations: int = 40) -> TrainOptions:
    folder = context.folder / name
    photos = context.folder / "photos"
    if not photos.is_dir():
        soak.write_photos(photos)
    path = soak.experiment(recipe, folder, photos, iterations, ema=None)
    where = [f"runtime.device={context.device.type}", "data.train.workers=0"]
    return load(path, TrainOptions, [*where, *overrides])


def trainer_of(options: TrainOptions, stage: int = 0) -> Trainer:
    """A stage from random weights, as `run_experiment` makes it."""
    runtime = fresh_runtime(options.runtime)
    recipe = RECIPES[options.stages[stage].recipe.type]
    prepare_for(options.data.train, options.generator.scale, jobs=1, progress=False)
    torch.manual_seed(options.seed)
    dataset = PatchDataset(options.data.train, options.generator.scale, options.seed, clean_lr=recipe.needs_clean_lr)
    folder = RunFolder(options.folder / options.stages[stage].name)
    folder.make()
    return Trainer(options, stage, starting_generator(options), dataset, folder, runtime)


def mean_loss(context: Context, recipe: str, stage: int, runtime: dict[str, str]) -> float:
    plain = {"tf32": "false", "channels_last": "false", "autotune": "false"}
    overrides = [f"runtime.{key}={value}" for key, value in {**plain, **runtime}.items()]
    trainer = trainer_of(options_of(context, recipe, "precision", *overrides), stage)
    batches, losses = trainer.batches(), []
    trainer.recipe.set_iteration(0)
    iterations, counted = (BEFORE_CHAOS, BEFORE_CHAOS) if recipe == "adversarial" else (SIDE_BY_SIDE, SIDE_BY_SIDE // 3)
    batch = next(batches)
    for _ in range(iterations + MOST_SKIPPED):
        loss = trainer.recipe.iteration([batch])["loss"].detach()
        if trainer.runtime.accelerator.optimizer_step_was_skipped:
            continue
        losses.append(loss)
        if len(losses) == iterations:
            break
        batch = next(batches)
    batches.close()
    return float(torch.stack(losses[-counted:]).float().mean())


def close(case: str, found: float, reference: float) -> Row:
    apart = abs(found - reference) / abs(reference)
    values = {"loss": found, "loss in float32": reference, "difference": apart}
    return judged(case, values, apart <= AGREE, f"≤ {100 * AGREE:g} %")
