"""Validation of a stage, and the weights that scored best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.options import StageOptions, TrainOptions
from training.run_folder import RunFolder
from training.runtime import Runtime
from training.validation import Validation, Validator


class BestWeights:
    """Ranks the validated weights of a stage and keeps the best on disk.

    Attributes:
        validator: scores a generator on the validation sets.
        ranking: [score, iteration] of the weights that are kept, the best first; higher scores are better.
        validated: the iteration of the newest validation.
    """

    def __init__(self, options: TrainOptions, stage: StageOptions, folder: RunFolder, runtime: Runtime):
        self.stage, self.folder, self.runtime = stage, folder, runtime
        self.validator = Validator(options.data.validation, options.generator.scale, stage.validation, runtime)
        self.ranking: list[list[float]] = []
        self.validated = 0

    def lack(self, iteration: int) -> bool:
        """Whether the stage was stopped at `iteration` before the validation that was due then."""
        due = iteration == self.stage.iterations or iteration % self.stage.validation.every == 0
        return bool(due and iteration and self.validator.items and self.validated != iteration)

    def add(self, validation: Validation, iteration: int, weights: Callable[[], bytes]) -> None:
        """Rank the weights by their validation; the main process keeps them if they are among the best."""
        self.validated = iteration
        self.ranking = [entry for entry in self.ranking if entry[1] != iteration]
        self.ranking.append([validation.rank(self.stage.validation.rank_by), iteration])
        if self.runtime.is_main:
            keep = self.stage.checkpoint.keep_best
            self.ranking = self.folder.save_best(weights(), iteration, self.ranking, keep)

    def state(self) -> dict[str, Any]:
        """The part of a checkpoint that `load_state` reads."""
        return {
            "ranking": self.ranking,
            "validated": self.validated,
            "ranked_by": self.stage.validation.ranking,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the ranking of a checkpoint; scores by another metric cannot be compared and are dropped."""
        self.validated = state.get("validated", state["iteration"])
        comparable = state.get("ranked_by", "psnr_y") == self.stage.validation.ranking
        self.ranking = [list(entry) for entry in state["ranking"]] if comparable else []
