"""The loop of one stage: draw, iterate, log, validate, save."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, cast

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data.datasets import PatchDataset
from models import Generator
from training.loop.batches import Batches, WaitEnded
from training.loop.failures import FAULTS, explain
from training.loop.monitor import Monitor
from training.loop.progress import Progress
from training.loop.stopping import Stopped, StopSignals
from training.loop.time_budget import TimeBudget
from training.options import TrainOptions
from training.recipes import RECIPES
from training.recipes.base import Batch
from training.resume import fingerprint, load_optimizer
from training.run_folder import CheckpointError, RunFolder, weights_of
from training.runtime import Runtime
from training.validation import Validator
from utils.errors import UserError
from utils.files import write_atomically
from utils.options import to_yaml

_FAR = 1 << 48
"""Samples from one stage of a run that ends by the clock to the next: more than it can take."""


class Trainer:
    """Trains one stage of an experiment; `state`/`load_state` hold all that a resume needs.

    Learning rates and samples are functions of the iteration, so the state is weights, optimisers and counters.

    Args:
        budget: the run's clock, where it ends by the clock.

    Raises:
        UserError: a batch that the processes cannot share, unreadable images, perceptual weights that are missing.
    """

    def __init__(
        self,
        options: TrainOptions,
        position: int,
        generator: Generator,
        dataset: PatchDataset,
        folder: RunFolder,
        runtime: Runtime,
        budget: TimeBudget | None = None,
    ):
        self.options, self.stage = options, options.stages[position]
        self.generator, self.dataset, self.folder, self.runtime = generator, dataset, folder, runtime
        self.iteration = 0
        self.position, self.budget = position, budget
        if budget is not None:
            budget.begin(position)
        # A stage goes on where the one before it ended: it does not meet the same patches in the same order again.
        self.first_sample = sum(stage.iterations * stage.batch_size for stage in options.stages[:position])
        if budget is not None:  # nobody knows how many samples the stages before took
            self.first_sample = position * _FAR
        self.ranking: list[list[float]] = []
        self.validated = 0  # the iteration that the ranking's newest scores are of
        self.images = fingerprint(dataset)
        if self.stage.batch_size % (self.stage.accumulate * runtime.ranks):
            raise UserError(
                f"stages.{position}.batch_size {self.stage.batch_size} is not a multiple of "
                f"{self.stage.accumulate} micro-batches × {runtime.ranks} processes"
            )
        recipe = RECIPES[self.stage.recipe.type]
        self.recipe = recipe(self.stage.recipe, generator.train(), self.stage, runtime)
        self.ema: AveragedModel | None = None
        if self.stage.ema is not None:
            self.ema = AveragedModel(generator, multi_avg_fn=get_ema_multi_avg_fn(self.stage.ema))
            self.ema.module.requires_grad_(False)
        self.validator = Validator(options.data.validation, options.generator.scale, self.stage.validation, runtime)
        self.monitor = Monitor(self.recipe, self.stage, folder, runtime)

    @property
    def place(self) -> int:
        """What schedules and `every` go by: the iteration, or with a budget the place that the time has reached."""
        return self.iteration if self.budget is None else self.budget.place

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
        if self._validation_is_due():  # what stopped the run came before it
            with self._timed_ending():
                self._validate(progress, saves=True)
        since, clock = self.iteration, time.monotonic()
        while (before := self.place) < stage.iterations:
            try:
                self.iterate([next(batches) for _ in range(stage.accumulate)])
            except WaitEnded:  # nothing of this iteration was done: the one before is saved
                stop = signals.received
            else:
                progress.step(self.place)
                stop = signals.agreed(self.iteration)
            last = self.place == stage.iterations
            if self.iteration > since and (last or stop or self._due(stage.log_every, before)):
                self.monitor.check_losses()
                rate = (self.iteration - since) * stage.batch_size / (time.monotonic() - clock)
                means = {**self.monitor.means(self.iteration - since), **self.monitor.gradient_norms()}
                progress.scalars(self.iteration, {**means, "images_per_second": rate})
                since, clock = self.iteration, time.monotonic()
            saves = last or bool(stop) or self._due(stage.checkpoint.every, before)
            if saves:
                self._save()
            if self.validator.items and not stop and (last or self._due(stage.validation.every, before)):
                with self._timed_ending():
                    self._validate(progress, saves)
                if last:
                    for line in self.recipe.outcome(self.shown_generator, self.validator):
                        progress.say(f"iteration {self.iteration}: {line}")
                since, clock = self.iteration, time.monotonic()
                self.monitor.forget()
            if stop:
                progress.say(f"stopped by {signal.Signals(stop).name} after iteration {self.iteration}, saved")
                raise Stopped(stop)

    def _due(self, every: int, before: int) -> bool:
        """Whether what happens `every` so many iterations happens now; `before` is the place before the iteration."""
        return self.place // every > before // every

    @contextmanager
    def _timed_ending(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        if self.budget is not None:
            self.budget.after_ending(time.monotonic() - start)

    def iterate(self, micro_batches: list[Batch]) -> None:
        """One iteration: the recipe's, what is noted of it, the EMA."""
        self.recipe.set_iteration(self.place)
        terms = self.recipe.iteration(micro_batches)
        self.iteration += 1
        if self.budget is not None:
            self.budget.after_iteration(self.iteration)
        self.monitor.note(self.iteration, terms)
        if self.ema is not None:
            self.ema.update_parameters(self.generator)

    def batches(self, told_to_stop: Callable[[], bool] = lambda: False) -> Batches:
        """Micro-batches from the current iteration to the stage's last, on the device."""
        until = self.stage.iterations if self.budget is None else _FAR // self.stage.batch_size
        span = range(self.iteration, until)
        return Batches(self.dataset, self.stage, span, self.first_sample, self.runtime, told_to_stop)

    @property
    def shown_generator(self) -> Generator:
        """The generator that is validated, ranked and exported: the EMA where one is kept."""
        return self.generator if self.ema is None else cast(Generator, self.ema.module)

    def _validation_is_due(self) -> bool:
        """Whether the stage begins with a validation: one that a stop came before, or one to time for the budget."""
        if self.budget is not None:
            return self.budget.ending is None and bool(self.validator.items)
        at = self.iteration == self.stage.iterations or self.iteration % self.stage.validation.every == 0
        return bool(at and self.iteration and self.validator.items and self.validated != self.iteration)

    def _validate(self, progress: Progress, saves: bool) -> None:
        """Score, rank and keep the best; `saves`: the ranking goes into the checkpoint of this iteration."""
        self.monitor.check_weights(self.iteration)
        try:
            validation = self.validator(self.shown_generator)
            progress.validation(self.iteration, validation)
        except Exception:
            if not saves:  # whatever a validation meets costs no iteration
                self._save()
            raise
        self.validated = self.iteration
        self.ranking = [entry for entry in self.ranking if entry[1] != self.iteration]
        self.ranking.append([validation.rank(self.stage.validation.rank_by), self.iteration])
        keep = self.stage.checkpoint.keep_best
        if self.runtime.is_main:
            self.ranking = self.folder.save_best(self._weights(), self.iteration, self.ranking, keep)
        if saves:
            self._save()

    def _save(self) -> None:
        self.monitor.check_weights(self.iteration)
        if self.runtime.is_main:
            weights = self._weights()
            if not self.validator.items:
                write_atomically(self.folder.best, weights)
            write_atomically(self.folder.last, weights)
            self.folder.save(self.state(), self.stage.checkpoint.keep, self.stage.checkpoint.keep_every)
        self.runtime.accelerator.wait_for_everyone()

    def _weights(self) -> bytes:
        return weights_of(self.shown_generator, self.options.name, self.stage.name, self.iteration)

    def state(self) -> dict[str, Any]:
        """Everything that a resume needs: tensors, numbers and text alone."""
        scaler = self.runtime.accelerator.scaler
        return {
            "stage": self.stage.name,
            "iteration": self.iteration,
            "networks": {name: network.state_dict() for name, network in self.recipe.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.recipe.optimizers.items()},
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "random": {"cpu": torch.get_rng_state()},
            "ranking": self.ranking,
            "validated": self.validated,
            "ranked_by": self.stage.validation.ranking,
            "images": self.images,
            "options": to_yaml(self.options),
            "budget": None if self.budget is None else self.budget.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up where `state` was made.

        Raises:
            CheckpointError: it was made with another network, recipe or EMA setting.
        """
        where = str(self.folder.checkpoint(state["iteration"]))
        try:
            for name, network in self.recipe.networks.items():
                network.load_state_dict(state["networks"][name])
            for name, optimizer in self.recipe.optimizers.items():
                load_optimizer(optimizer, state["optimizers"][name], where)
            if self.ema is not None:
                self.ema.module.load_state_dict(state["ema"] or state["networks"]["generator"])
                self.ema.n_averaged.fill_(state["iteration"])
            if state["scaler"] is not None and self.runtime.accelerator.scaler is not None:
                self.runtime.accelerator.scaler.load_state_dict(state["scaler"])
            torch.set_rng_state(state["random"]["cpu"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:  # TypeError: a random state of floats
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{where}: does not fit this network and recipe ({reason[:200]}); "
                "resume with the options it was made with"
            ) from None
        self.iteration = state["iteration"]
        self.validated = state.get("validated", self.iteration)
        if self.budget is not None and state.get("budget") is not None:
            self.budget.resume(state["budget"], self.position)
        # Scores of another kind say nothing about those to come: the best are found anew from here.
        comparable = state.get("ranked_by", "psnr_y") == self.stage.validation.ranking
        self.ranking = [list(entry) for entry in state["ranking"]] if comparable else []
