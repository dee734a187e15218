"""The folder of one stage of a run: checkpoints, which are complete or absent, weights, options.

<root>/<name>/.lock                         held while a process trains here
<root>/<name>/<stage>/checkpoints/00005000.pt    everything that a resume needs
<root>/<name>/<stage>/best/00005000.safetensors  the best weights so far, by validation
<root>/<name>/<stage>/best.safetensors      the best of all
<root>/<name>/<stage>/last.safetensors      the newest weights, from which the next stage starts
<root>/<name>/<stage>/options.yml train.log tensorboard/
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from models.weight_files import export_weights
from training.checkpoint_form import FORMAT, misfit
from utils.errors import UserError
from utils.files import remove_temporaries, write_atomically
from utils.section import Section


class CheckpointOptions(Section):
    """Which checkpoints and weights of a run are kept."""

    every: int = Field(default=5000, ge=1)
    """Iterations between checkpoints; the last iteration is always saved."""
    keep: int = Field(default=2, ge=2)
    """Number of newest checkpoints to keep: at least two, so that an older one replaces a damaged one."""
    keep_every: int | None = Field(default=None, ge=1)
    """Checkpoints at multiples of this are never removed."""
    keep_best: int = Field(default=1, ge=1)
    """Number of best weights to keep, by the mean of `validation.rank_by` over the validation sets; `best.safetensors`
    holds the best of all."""


class CheckpointError(UserError):
    """A training checkpoint that is damaged or of another kind."""


class RunFolder:
    """Paths and files of one stage."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.best = folder / "best.safetensors"
        self.last = folder / "last.safetensors"

    def make(self) -> None:
        """Make the folder and remove temporary files of killed processes.

        Raises:
            UserError: the folder cannot be made.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            (self.folder / "best").mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be made: {error.strerror}") from None
        for folder in (self.folder, self.checkpoints, self.folder / "best"):
            remove_temporaries(folder)

    def iterations(self) -> list[int]:
        """Iterations with a checkpoint, ascending."""
        return sorted(_numbered(self.checkpoints, ".pt"))

    def checkpoint(self, iteration: int) -> Path:
        """Path of the checkpoint of an iteration."""
        return self.checkpoints / f"{iteration:08d}.pt"

    def last_good(self) -> str:
        """A phrase that names the checkpoint from which a failed run can continue."""
        whole = self.iterations()
        return f"the last good checkpoint is {self.checkpoint(whole[-1])}" if whole else "no checkpoint was saved yet"

    def save(self, state: dict[str, Any], keep: int, keep_every: int | None) -> Path:
        """Write a checkpoint, then remove those that need not be kept."""
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        path = self.checkpoint(state["iteration"])
        write_atomically(path, buffer.getvalue())
        # There may be newer ones, damaged or from a run that was reset to an older checkpoint.
        for iteration in [i for i in self.iterations() if i <= state["iteration"]][:-keep]:
            if keep_every is None or iteration % keep_every:
                self.checkpoint(iteration).unlink()
        return path

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest intact checkpoint, or None, and a line about each newer one that is damaged or misnamed."""
        damaged: list[str] = []
        for iteration in reversed(self.iterations()):
            try:
                return self._read(iteration), damaged
            except CheckpointError as error:
                damaged.append(str(error))
        return None, damaged

    def _read(self, iteration: int) -> dict[str, Any]:
        path = self.checkpoint(iteration)
        state = read_checkpoint(path)
        if (held := state["iteration"]) != iteration:  # renamed by hand, or put back from a copy
            raise CheckpointError(f"{path}: holds iteration {held}; name it {self.checkpoint(held).name}, or remove it")
        return state

    def save_best(self, weights: bytes, iteration: int, ranking: list[list[float]], keep: int) -> list[list[float]]:
        """Keep `weights` if they are among the `keep` best.

        Args:
            ranking: [score, iteration] of the kept weights and of these; higher scores are better.

        Returns:
            The ranking cut to `keep`.
        """
        ranking = sorted(ranking, key=lambda entry: (-entry[0], entry[1]))[:keep]
        kept = {int(place) for _, place in ranking}
        if iteration in kept:
            write_atomically(self.folder / "best" / f"{iteration:08d}.safetensors", weights)
        if int(ranking[0][1]) == iteration:
            write_atomically(self.best, weights)
        for number, path in _numbered(self.folder / "best", ".safetensors").items():
            if number not in kept:
                path.unlink()
        return ranking


def _numbered(folder: Path, suffix: str) -> dict[int, Path]:
    """The files that this class named by iteration; it leaves other files in the folder alone."""
    found = {path: re.fullmatch(r"[0-9]{8}|[1-9][0-9]{8,17}", path.stem) for path in folder.glob(f"*{suffix}")}
    return {int(match[0]): path for path, match in found.items() if match is not None}


def weights_of(generator: nn.Module, experiment: str, stage: str, iteration: int) -> bytes:
    """A weights file that names its network, its run and its iteration."""
    return export_weights(generator, {"experiment": experiment, "stage": stage, "iteration": iteration})


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; no code in the file is executed.

    Raises:
        CheckpointError: the file is missing, truncated, altered (the checksum and form of every record are checked) or
            of another format.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(f"{path}: damaged (checksum of {damaged})")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # zipfile and torch raise many types on damaged files
        raise CheckpointError(f"{path}: damaged or not a checkpoint ({type(error).__name__})") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a training checkpoint of this project (weights alone go under `init`)")
    if (why := misfit(state)) is not None:
        raise CheckpointError(f"{path}: altered, or by another program ({why})")
    return state
