"""The loop of a stage in a run that ends by the clock."""

from __future__ import annotations

from typing import Any

from data.datasets import Batch, PatchDataset
from models import Generator
from training.loop.batches import Batches
from training.loop.progress import Progress
from training.loop.stopping import StopSignals
from training.loop.time_budget import FEW, TimeBudget
from training.loop.trainer import Trainer
from training.optimization import set_learning_rate
from training.options import TrainOptions
from training.run_folder import RunFolder
from training.runtime import Runtime
from utils.files import write_atomically

TOO_SHORT = f"no time for {FEW} iterations; it keeps the weights it began with; raise runtime.minutes"


class TrainerByClock(Trainer):
    """A `Trainer` whose schedules follow the time that has passed (`TimeBudget`).

    Its samples and rates depend on the machine's speed, so that a resume does not lead to the same bytes.
    """

    by_clock = True

    def __init__(
        self,
        options: TrainOptions,
        position: int,
        generator: Generator,
        dataset: PatchDataset,
        folder: RunFolder,
        runtime: Runtime,
        budget: TimeBudget,
    ):
        self.budget = budget
        self.only_timed = False
        budget.begin(position)
        super().__init__(options, position, generator, dataset, folder, runtime)

    @property
    def place(self) -> int:
        """The place in the schedules that the time has reached."""
        return self.budget.place

    def _loop(self, progress: Progress, signals: StopSignals, batches: Batches) -> None:
        if self._has_no_time():  # ends with the weights that it began with: saved and exported, but not validated
            self.budget.skip()
            progress.say(f"stage {self.stage.name}: {TOO_SHORT}")
            self._save()
            if self.runtime.is_main:
                write_atomically(self.folder.best, self._weights())
        super()._loop(progress, signals, batches)
        if self.only_timed:
            progress.say(f"stage {self.stage.name}: {TOO_SHORT}")

    def _has_no_time(self) -> bool:
        """Whether the stages before have left this one too little time to begin."""
        return self.iteration == 0 and self.place < self.stage.iterations and not self.budget.fits()

    def iterate(self, micro_batches: list[Batch]) -> None:
        """As `Trainer.iterate`. The first iteration of a run is only timed, with a learning rate of 0."""
        self.only_timed = self.budget.each is None
        super().iterate(micro_batches)
        self.budget.after_iteration(self.iteration)

    def _schedule(self) -> None:
        self.recipe.set_iteration(self.budget.reached, self.iteration)
        if self.only_timed:
            for optimizer in self.recipe.optimizers.values():
                set_learning_rate(optimizer, 0.0)

    def _validation_comes_first(self) -> bool:
        """Also at the beginning of a stage: it tells how long the stage's validations take and ranks the first weights,
        as few iterations may not make better ones.
        """
        over = self.place == self.stage.iterations
        due = self.best.validated != self.iteration if over else self.iteration == 0
        return bool(self.best.validator.items) and due

    def _validate(self, progress: Progress, saves: bool) -> None:
        start = self.budget.elapsed
        super()._validate(progress, saves)
        self.budget.after_ending(self.budget.elapsed - start)

    def state(self) -> dict[str, Any]:
        """As `Trainer.state`, and the time."""
        return {**super().state(), "budget": self.budget.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """As `Trainer.load_state`; the remaining time goes on."""
        super().load_state(state)
        if state.get("budget") is not None:
            self.budget.resume(state["budget"], self.position)
