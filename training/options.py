"""The whole of a training options file, composed of the sections that stand beside their code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from data.options import EvaluationSetOptions, TrainDataOptions
from models import GENERATORS, AnyGeneratorOptions, GeneratorOptions
from training.optimizers import OptimizerOptions
from training.recipes import AnyRecipeOptions
from training.schedules import ConstantSchedule, Schedule
from training.validation import ValidationOptions
from utils.options import Section


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


class StageOptions(Section):
    """One stage of an experiment; each starts from the weights that the one before it ended with."""

    name: str = Field(pattern=r"^[\w-]+$")
    """Folder of the stage below `<root>/<name>/`."""
    recipe: AnyRecipeOptions
    """What is done to a batch."""
    iterations: int = Field(ge=1)
    """Optimiser rounds over one batch."""
    batch_size: int = Field(default=16, ge=1)
    """Patches per iteration over all processes and micro-batches."""
    accumulate: int = Field(default=1, ge=1)
    """Micro-batches that an iteration is split into, to save memory."""
    optimizer: OptimizerOptions
    schedule: Schedule = ConstantSchedule()
    """Learning rate over the iterations."""
    clip_grad_norm: float | None = Field(default=None, gt=0)
    """Gradients are scaled down to this norm where theirs is larger."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of an exponential moving average of the weights, which is then the one validated and exported."""
    init: Path | None = None
    """Weights to start the first stage from; null: random, or `generator.weights`."""
    init_may_differ: tuple[str, ...] = ()
    """Patterns of tensors (`rem.upsampler.*`) that `init`, of another scale say, need not fit: these keep their initial
    values. Every other tensor must fit, and each pattern must be needed."""
    log_every: int = Field(default=100, ge=1)
    """Iterations between log lines."""
    validation: ValidationOptions = ValidationOptions()
    checkpoint: CheckpointOptions = CheckpointOptions()


class DataOptions(Section):
    """Training patches and validation sets."""

    train: TrainDataOptions
    validation: tuple[EvaluationSetOptions, ...] = ()
    """Sets scored while training; none: the last weights are the best there are."""


class RuntimeOptions(Section):
    """Where and how the numbers are computed; none of it but `minutes` changes what is trained."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: CUDA where there is one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of the networks' forward pass; losses are always float32, and fp16 scales its loss. fp32 is the default because
    an output near 200 of 255 is only good to ±0.5 in bf16."""
    tf32: bool = True
    """Let CUDA matrix products of float32 use TF32."""
    channels_last: bool = True
    """Memory layout NHWC: what convolutions are fastest in, on CPUs too."""
    compile: bool = False
    """`torch.compile` the training step; validation stays eager."""
    fused: bool | None = None
    """One kernel for the whole optimiser step; null: on CUDA only."""
    deterministic: bool = False
    """Refuse operations whose result depends on timing (docs/training.md says what this covers)."""
    minutes: float | None = Field(default=None, gt=0)
    """End after this much time, in all stages together. Their `iterations` are then shares of the time, and what is
    given in iterations (schedules, `every`) is read on the same scale; two runs no longer end alike
    (docs/training.md)."""


class TrainOptions(Section):
    """One experiment: a generator, its data, and the stages that train it."""

    name: str = Field(pattern=r"^[\w-]+$")
    """Folder of the run below `root`."""
    root: Path = Path("experiments")
    """Folder of all runs."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the initial weights and of every sample drawn."""
    generator: AnyGeneratorOptions
    """The network that is trained."""
    start: Literal["random", "interpolation"] = "random"
    """Initial weights: `random`, as in the papers, or such that the untrained network interpolates, which saves a short
    training thousands of iterations (models/start.py)."""
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
