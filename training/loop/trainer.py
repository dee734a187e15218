"""The loop of one stage: draw, iterate, log, validate, save."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

from torch.optim.swa_utils import AveragedModel

from data.datasets import Batch, PatchDataset
from models import Generator
from training.loop.averaging import moving_average
from training.loop.batches import Batches, WaitEnded, samples_of
from training.loop.best_weights import BestWeights
from training.loop.failures import FAULTS, explain
from training.loop.monitor import Monitor
from training.loop.progress import Progress
from training.loop.stopping import Stopped, StopSignals
from training.loop.training_state import load_training_state, training_state
from training.options import TrainOptions
from training.recipes import RECIPES
from training.resume import fingerprint
from training.run_folder import RunFolder, weights_of
from training.runtime import Runtime
from utils.errors import UserError
from utils.files import write_atomically
from utils.options import to_yaml


class Trainer:
    """Trains one stage of an experiment; a resume needs only what `state` returns.

    Learning rates and samples are functions of the iteration, so the state is weights, optimisers and counters.

    Args:
        position: number of the stage, from 0.

    Raises:
        UserError: unreadable images, perceptual weights that are missing.
    """

    by_clock = False
    """Whether time instead of a count ends the stage."""

    def __init__(
        self,
        options: TrainOptions,
        position: int,
        generator: Generator,
        dataset: PatchDataset,
        folder: RunFolder,
        runtime: Runtime,
    ):
        self.options, self.stage = options, options.stages[position]
        self.generator, self.dataset, self.folder, self.runtime = generator, dataset, folder, runtime
        self.iteration, self.position = 0, position
        self.images = fingerprint(dataset)
        recipe = RECIPES[self.stage.recipe.type]
        self.recipe = recipe(self.stage.recipe, generator.train(), self.stage, runtime)
        self.ema: AveragedModel | None = None
        if self.stage.ema is not None:
            made = (lambda: self.iteration) if self.by_clock else None
            self.ema = moving_average(generator, self.stage.ema, made)
        self.best = BestWeights(options, self.stage, folder, runtime)
        self.monitor = Monitor(self.recipe, self.stage, folder, runtime)

    @property
    def place(self) -> int:
        """Position in the schedules and in `every`."""
        return self.iteration

    def run(self) -> None:
        """Train from the current iteration to the stage's last.

        Raises:
            Stopped: after SIGTERM or SIGINT, once the iteration is finished and saved.
            UserError: the loss or the weights are not finite, memory or disk ran out, a loader process died; nothing
                bad was saved.
        """
        stage, progress = self.stage, None
        try:
            progress = Progress(
                self.folder.folder,
                stage.name,
                self.iteration,
                stage.iterations,
                enabled=self.runtime.is_main,
                place=self.place,
            )
            with StopSignals(self.runtime) as signals, closing(self.batches(signals.ends_waiting)) as batches:
                self._loop(progress, signals, batches)
        except FAULTS as error:
            if (fault := explain(error, self.options)) is None:
                raise
            raise UserError(
                f"stage {stage.name!r}, iteration {self.iteration + 1}: {fault}; {self.folder.last_good()}"
            ) from None
        finally:
            if progress is not None:
                progress.close()

    def _loop(self, progress: Progress, signals: StopSignals, batches: Batches) -> None:
        stage = self.stage
        if self._validation_comes_first():
            self._validate(progress, saves=True)
        self.monitor.begin(self.iteration)
        while (before := self.place) < stage.iterations:
            try:
                self.iterate([next(batches) for _ in range(stage.accumulate)])
            except WaitEnded:  # nothing of this iteration was done: the one before is saved
                stop = signals.received
            else:
                progress.step(self.place)
                stop = signals.agreed(self.iteration)
            last = self.place == stage.iterations
            means = None
            if self.iteration > self.monitor.since and (last or stop or self._due(stage.log_every, before)):
                means = self.monitor.report(self.iteration)
                self.monitor.begin(self.iteration)
            saves = last or bool(stop) or self._due(stage.checkpoint.every, before)
            if saves:
                self._save()
            if means is not None:  # after the saving: where nobody reads any more, a line costs no iteration
                progress.scalars(self.iteration, means)
            if self.best.validator.items and not stop and (last or self._due(stage.validation.every, before)):
                self._validate(progress, saves)
                if last:
                    for line in self.recipe.outcome(self.shown_generator, self.best.validator):
                        progress.say(f"iteration {self.iteration}: {line}")
                self.monitor.begin(self.iteration)
            if stop:
                progress.say(f"stopped by {signal.Signals(stop).name} after iteration {self.iteration}, saved")
                raise Stopped(stop)

    def _due(self, every: int, before: int) -> bool:
        """Whether the iteration that began at the place `before` reached a multiple of `every`."""
        return self.place // every > before // every

    def iterate(self, micro_batches: list[Batch]) -> None:
        """Run one iteration of the recipe, note its losses, update the EMA."""
        self._schedule()
        terms = self.recipe.iteration(micro_batches)
        self.iteration += 1
        self.monitor.note(self.iteration, terms)
        if self.ema is not None:
            self.ema.update_parameters(self.generator)

    def _schedule(self) -> None:
        self.recipe.set_iteration(self.iteration)

    def batches(self, told_to_stop: Callable[[], bool] = lambda: False) -> Batches:
        """Micro-batches from the current iteration to the last of the stage, on the device."""
        samples = samples_of(self.options, self.position, by_clock=self.by_clock)
        return Batches(self.dataset, self.stage, samples, self.iteration, self.runtime, told_to_stop)

    @property
    def shown_generator(self) -> Generator:
        """The generator that is validated, ranked and exported: the EMA if one is kept."""
        return self.generator if self.ema is None else cast(Generator, self.ema.module)

    def _validation_comes_first(self) -> bool:
        """Whether the run begins with a validation: a stop came before it."""
        return self.best.lack(self.iteration)

    def _validate(self, progress: Progress, saves: bool) -> None:
        """Score, rank and keep the best; `saves`: the checkpoint of this iteration then holds the ranking."""
        self.monitor.check_weights(self.iteration)
        try:
            validation = self.best.validator(self.shown_generator)
            progress.validation(self.iteration, validation)
        except Exception:
            if not saves:  # a validation that fails costs no iteration
                self._save()
            raise
        self.best.add(validation, self.iteration, self._weights)
        if saves:
            self._save()

    def _save(self) -> None:
        self.monitor.check_weights(self.iteration)
        if self.runtime.is_main:
            weights = self._weights()
            if not self.best.validator.items:
                write_atomically(self.folder.best, weights)
            write_atomically(self.folder.last, weights)
            self.folder.save(self.state(), self.stage.checkpoint.keep, self.stage.checkpoint.keep_every)
        self.runtime.accelerator.wait_for_everyone()

    def _weights(self) -> bytes:
        return weights_of(self.shown_generator, self.options.name, self.stage.name, self.iteration)

    def state(self) -> dict[str, Any]:
        """Everything that a resume needs: tensors, numbers and text."""
        return {
            "stage": self.stage.name,
            "iteration": self.iteration,
            **training_state(self.recipe, self.ema, self.runtime),
            **self.best.state(),
            "images": self.images,
            "options": to_yaml(self.options),
            "budget": None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state`.

        Raises:
            CheckpointError: it was made with another network, recipe or EMA setting.
        """
        where = str(self.folder.checkpoint(state["iteration"]))
        load_training_state(state, self.recipe, self.ema, self.runtime, where)
        self.iteration = state["iteration"]
        self.best.load_state(state)
