"""The part of a training options file that determines what is prepared."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from data.options import TrainDataOptions
from utils.options import validate
from utils.options.sources import apply_overrides, read_with_bases


class _Generator(BaseModel):
    scale: int


class _Data(BaseModel):
    train: TrainDataOptions


class TrainingFile(BaseModel):
    """The part of a training options file that says what patches are cut from; train.py checks the rest."""

    generator: _Generator
    data: _Data
    seed: int = 0


def read_training_file(path: Path, overrides: list[str]) -> TrainingFile:
    """That part of a file, its bases and overrides applied.

    Raises:
        OptionsError: as `utils.options.load`.
    """
    data, origins = read_with_bases(path)
    apply_overrides(data, origins, overrides)
    return validate(data, TrainingFile, str(path), origins)
