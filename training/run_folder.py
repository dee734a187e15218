"""The folder of one stage of a run: checkpoints that are whole or not there, weights, options.

<root>/<name>/.lock                         held while a process trains here
<root>/<name>/<stage>/checkpoints/00005000.pt    everything a resume needs
<root>/<name>/<stage>/best/00005000.safetensors  the best weights so far, by validation
<root>/<name>/<stage>/best.safetensors      the best of them
<root>/<name>/<stage>/last.safetensors      the newest weights: what the next stage starts from
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
    """What is kept of a run."""

    every: int = Field(default=5000, ge=1)
    """Iterations between checkpoints; the last iteration is always saved."""
    keep: int = Field(default=2, ge=2)
    """Newest checkpoints kept: two at least, so that a damaged one has one before it."""
    keep_every: int | None = Field(default=None, ge=1)
    """Checkpoints at multiples of this are kept for good."""
    keep_best: int = Field(default=1, ge=1)
    """Best weights kept, by the mean over the validation sets of what `validation.rank_by` says; `best.safetensors` is
    the best of them."""


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
        """Make the folder and remove what killed writers have left.

        Raises:
            UserError: it cannot be made.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            (self.folder / "best").mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"{error.filename}: cannot be made: {error.strerror}") from None
        for folder in (self.folder, self.checkpoints, self.folder / "best"):
            remove_temporaries(folder)

    def iterations(self) -> list[int]:
        """Iterations of which there is a checkpoint, ascending."""
        return sorted(_numbered(self.checkpoints, ".pt"))

    def checkpoint(self, iteration: int) -> Path:
        """Where the checkpoint of an iteration lies."""
        return self.checkpoints / f"{iteration:08d}.pt"

    def last_good(self) -> str:
        """Which checkpoint a run that fails can go on from, in words."""
        whole = self.iterations()
        return f"the last good checkpoint is {self.checkpoint(whole[-1])}" if whole else "no checkpoint was saved yet"

    def save(self, state: dict[str, Any], keep: int, keep_every: int | None) -> Path:
        """Write a checkpoint, then remove the ones that need not be kept."""
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        path = self.checkpoint(state["iteration"])
        write_atomically(path, buffer.getvalue())
        # Newer ones can be there, damaged or left by a run that was taken back to an older checkpoint.
        for iteration in [i for i in self.iterations() if i <= state["iteration"]][:-keep]:
            if keep_every is None or iteration % keep_every:
                self.checkpoint(iteration).unlink()
        return path

    def newest(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The newest whole checkpoint (None: there is none), and a line on each newer one that is damaged."""
        damaged: list[str] = []
        for iteration in reversed(self.iterations()):
            try:
                return read_checkpoint(self.checkpoint(iteration)), damaged
            except CheckpointError as error:
                damaged.append(str(error))
        return None, damaged

    def save_best(self, weights: bytes, iteration: int, ranking: list[list[float]], keep: int) -> list[list[float]]:
        """Keep `weights` if they are among the `keep` best.

        Args:
            ranking: [score, iteration] of the ones kept, this iteration's among them; higher scores are better.

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
    """The files that are named by their iteration, as we name them; others in the folder are their owner's."""
    found = {path: re.fullmatch(r"[0-9]{8,18}", path.stem) for path in folder.glob(f"*{suffix}")}
    return {int(match[0]): path for path, match in found.items() if match is not None}


def weights_of(generator: nn.Module, experiment: str, stage: str, iteration: int) -> bytes:
    """Weights as they are kept: they say which network they are for, and when in which run they were made."""
    return export_weights(generator, {"experiment": experiment, "stage": stage, "iteration": iteration})


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU; nothing in the file is run.

    Raises:
        CheckpointError: missing, cut short, altered (every record's checksum and form are compared) or of another
            format.
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
