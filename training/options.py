"""The options of an experiment, composed of the sections that are defined beside their code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from data.options import EvaluationSetOptions, TrainDataOptions
from models import GENERATORS, AnyGeneratorOptions, GeneratorOptions
from training.optimization import OptimizationOptions
from training.recipes import AnyRecipeOptions
from training.run_folder import CheckpointOptions
from training.runtime import RuntimeOptions
from training.validation import ValidationOptions
from utils.section import Section


class StageOptions(OptimizationOptions):
    """One stage of an experiment; it starts from the last weights of the stage before it."""

    name: str = Field(pattern=r"^[\w-]+$")
    """Folder of the stage below `<root>/<name>/`."""
    recipe: AnyRecipeOptions
    """How the stage trains on a batch."""
    batch_size: int = Field(default=16, ge=1, le=10**6)
    """Patches per iteration over all processes and micro-batches."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches that an iteration is split into, to save memory."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of an exponential moving average of the weights, which is then validated and exported in their place."""
    init: Path | None = None
    """Weights to start the first stage from; null: random, or `generator.weights`."""
    init_may_differ: tuple[str, ...] = ()
    """Patterns of tensors (`rem.upsampler.*`) that `init` need not fit, for example if it is of another scale: these
    keep their initial values. Every other tensor must fit, and each pattern must be needed."""
    log_every: int = Field(default=100, ge=1)
    """Iterations between log lines."""
    validation: ValidationOptions = ValidationOptions()
    checkpoint: CheckpointOptions = CheckpointOptions()


class DataOptions(Section):
    """Training patches and validation sets."""

    train: TrainDataOptions
    validation: tuple[EvaluationSetOptions, ...] = ()
    """Sets scored while training; without any, the last weights count as the best."""


class TrainOptions(Section):
    """One experiment: a generator, its data, and the stages that train it."""

    name: str = Field(pattern=r"^[\w-]+$")
    """Folder of the run below `root`."""
    root: Path = Path("experiments")
    """Folder of all runs."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the initial weights and of all samples."""
    generator: AnyGeneratorOptions
    """The network that is trained."""
    start: Literal["random", "interpolation"] = "random"
    """Initial weights: `random` as in the papers, or `interpolation`: the untrained network interpolates, which saves a
    short training thousands of iterations (models/interpolation_start.py)."""
    data: DataOptions
    stages: Annotated[tuple[StageOptions, ...], Field(min_length=1)]
    """Trained one after the other."""
    runtime: RuntimeOptions = RuntimeOptions()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.root / self.name

    @field_validator("generator")
    @classmethod
    def _nothing_open(cls, generator: GeneratorOptions) -> GeneratorOptions:
        if not GENERATORS[generator.type].trainable:
            raise ValueError(f"{generator.type!r} is not trained here; choose another type")
        return generator.resolved()

    @model_validator(mode="after")
    def _fits_together(self) -> TrainOptions:
        for position, validation in enumerate(self.data.validation):
            if validation.scale not in (None, self.generator.scale):
                raise ValueError(
                    f"data.validation.{position}.scale is {validation.scale}, generator.scale is {self.generator.scale}"
                )
        for what, names in [
            ("stages", [stage.name for stage in self.stages]),
            ("data.validation", [validation.name for validation in self.data.validation]),
        ]:
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: two of them have the same name in {names}")
        for position, stage in enumerate(self.stages):
            if self.runtime.minutes is not None and stage.checkpoint.keep_every is not None:
                raise ValueError(
                    f"stages.{position}.checkpoint.keep_every counts iterations, which runtime.minutes does not; "
                    "leave one of them out"
                )
            if stage.batch_size % stage.accumulate:
                raise ValueError(
                    f"stages.{position}: batch_size {stage.batch_size} is not a multiple of "
                    f"accumulate {stage.accumulate}"
                )
            if stage.init is not None and position > 0:
                raise ValueError(
                    f"stages.{position}.init: only the first stage takes one; others go on from the one before"
                )
            if stage.init_may_differ and stage.init is None:
                raise ValueError(f"stages.{position}.init_may_differ: there is no `init` that could differ")
            if self.generator.type not in (stage.recipe.trains or (self.generator.type,)):
                raise ValueError(
                    f"stages.{position}.recipe: {stage.recipe.type!r} trains {', '.join(stage.recipe.trains)}, "
                    f"the generator is {self.generator.type!r}"
                )
            needed, given = stage.recipe.hr_patch_size, self.data.train.patch_size * self.generator.scale
            if needed not in (None, given):
                raise ValueError(
                    f"stages.{position}.recipe: the discriminator judges patches of {needed} pixels, "
                    f"data.train.patch_size × generator.scale is {given}; make them equal"
                )
        return self
