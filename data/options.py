"""Typed options of training data and evaluation sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from data.codecs import Codec, CodecError, parse
from data.codecs.chain import Chain
from data.codecs.history import History
from data.codecs.steps import Resize, Shift, parse_step
from data.grey import Grey
from utils.section import Section

StepType = TypeVar("StepType", Resize, Shift)


def _parsed(specs: tuple[str, ...], *, ranges: bool, training: bool) -> list[Codec]:
    codecs = []
    for spec in specs:
        try:
            codec = parse(spec)
        except CodecError as error:
            raise ValueError(str(error)) from None
        if codec.is_range and not ranges:
            raise ValueError(f"{spec!r} is a range; only `compress: on_the_fly` can draw from one")
        if training:
            _check_resize(codec, spec, as_drawn=ranges)
        codecs.append(codec)
    if len(set(map(str, codecs))) < len(codecs):
        raise ValueError(f"a compression is given twice in {list(specs)}")
    return codecs


def _check_resize(codec: Codec, spec: str, *, as_drawn: bool) -> None:
    if codec.keeps_size:
        return
    if codec.least_factor is None:
        raise ValueError(f"{spec!r} depends on the size of a whole image; training takes a factor, `resize0.5..1`")
    if not as_drawn:
        raise ValueError(f"{spec!r} resizes; in training only `compress: on_the_fly` does")


def _step(text: str, kind: type[StepType], example: str) -> StepType:
    try:
        step = parse_step(text)
    except CodecError as error:
        raise ValueError(f"{text!r}: {error}") from None
    if not isinstance(step, kind):
        raise ValueError(f"{text!r}: write it as in `{example}`")
    return step


class RepostOptions(Section):
    """Histories of photos that are posted repeatedly: every patch is compressed once or several times, each time by one
    of `compressions`."""

    encodings: tuple[Annotated[float, Field(ge=0)], ...] = Field(default=(0.5, 0.3, 0.2), min_length=1, max_length=8)
    """Relative probabilities of one, two, three … encodings."""
    resize: str = "resize0.5..1"
    """Factor of a resize before one of the encodings; the HR patch is resized by the same factor."""
    resize_chance: float = Field(default=0.5, ge=0, le=1)
    """Share of the patches that are resized."""
    shift: str = "shift0..15,0..15"
    """Rows and columns that are cut off between two encodings, which shifts the second block grid against the first."""
    shift_chance: float = Field(default=0.5, ge=0, le=1)
    """Probability of a shift between two encodings without a resize; without a shift, their block grids are aligned."""

    @model_validator(mode="after")
    def _steps(self) -> RepostOptions:
        if not sum(self.encodings):
            raise ValueError("encodings: one chance at least must be above 0")
        self.history(())
        return self

    def history(self, codecs: Sequence[Codec]) -> History:
        """What histories are drawn from."""
        return History(
            tuple(codecs),
            self.encodings,
            _step(self.resize, Resize, "resize0.5..1"),
            self.resize_chance,
            _step(self.shift, Shift, "shift0..15,0..15"),
            self.shift_chance,
        )


class TrainPairsOptions(Section):
    """Two folders of images, where another program, a platform or a camera made one from the other."""

    lr: Path
    """Folder of LR images, named like the HR images, with or without a suffix (`0801x2.png`, `0801_lr.jpg`)."""
    hr: Path
    """Folder of HR images, `scale` times as large as the LR images; a difference below one LR pixel is cropped."""
    weight: float | None = Field(default=None, gt=0)
    """Share of the patches that are cut from these pairs, relative to the other weights; null: the number of pairs."""


class TrainDataOptions(Section):
    """Source of the training patches."""

    hr: Path | Annotated[tuple[Path, ...], Field(min_length=1)] | None = None
    """Folder of HR images, or a list of folders; a `.tar` of `python -m data.pack` counts as one. Null: the images of
    a `prepared` store that is complete."""
    prepared: Path | None = None
    """Folder of the prepared store (docs/data.md). Null: beside the first HR folder (of `hr`, else of `pairs`), named
    `<folder>.prepared`."""
    compressions: tuple[str, ...] = ()
    """Compressions of the LR images, drawn with equal probability: `jpeg10`, `webp30`, `hevc37`, `none`, …"""
    weight: float | None = Field(default=None, gt=0)
    """Share of the patches that are cut from `hr`, relative to the weights of `pairs`; null: its number of images."""
    pairs: tuple[TrainPairsOptions, ...] = ()
    """Pairs of folders in addition to `hr` or instead of it; their LR images are used unchanged."""
    compress: Literal["ahead", "on_the_fly"] = "ahead"
    """`ahead`: LR images are compressed once, undivided, and stored. `on_the_fly`: a region around each patch is
    compressed when the patch is drawn, with a random phase of the block grid; this allows ranges such as
    `jpeg10..95`."""
    repost: RepostOptions | None = None
    """Compress each patch once or several times, like a photo of unknown history; `compress: on_the_fly` only. Null:
    once, by one of `compressions`."""
    patch_size: int = Field(default=48, ge=4)
    """Side of a training patch in LR pixels; the HR patch is `scale` times as large."""
    flip: bool = True
    """Flip patches horizontally and vertically at random."""
    rotate: bool = True
    """Rotate patches by 90° at random."""
    grey: float = Field(default=0.0, ge=0, le=1)
    """Share of patches that are converted to grey before compression; `compress: on_the_fly` only."""
    hide_steps: float = Field(default=0.0, ge=0, le=1)
    """Share of JPEG patches whose quantisation steps are hidden from a network that reads them, as if the JPEG had been
    decoded and saved in another format."""
    workers: int | None = Field(default=None, ge=0, le=1024)
    """Loader processes per rank; 0 loads in the training process; null: one per spare core, 1 to 4."""

    @model_validator(mode="after")
    def _specs(self) -> TrainDataOptions:
        codecs = _parsed(self.compressions, ranges=self.compress == "on_the_fly", training=True)
        if self.repost is not None:
            if self.compress != "on_the_fly" or not codecs:
                raise ValueError("repost: give compressions and set compress: on_the_fly")
            if any(isinstance(codec, Chain) for codec in codecs):
                raise ValueError("repost: it makes the chains itself; give single codecs under compressions")
        if self.grey and self.compress != "on_the_fly":
            raise ValueError("grey: patches are stored compressed already; set compress: on_the_fly")
        if self.weight is not None and not (self.pairs and self.compressions):
            raise ValueError("weight: it mixes images that are compressed here with `pairs`; give both")
        if self.compressions and self.hr is None and self.prepared is None:
            raise ValueError("hr: give a folder of HR images, or under `prepared` a store that holds them")
        if not self.compressions and (self.hr is not None or not self.pairs):
            raise ValueError("compressions: give at least 1 item (`none` for none), or `pairs` without `hr`")
        return self

    @property
    def folders(self) -> list[Path]:
        """The HR folders; none where the store stands for them."""
        return list(self.hr) if isinstance(self.hr, tuple) else [self.hr] if self.hr else []

    @property
    def least_side(self) -> int:
        """LR pixels that either side of a training image must have: a patch's, and more where it is shrunk first."""
        return math.ceil(self.patch_size / self._least_factor)

    @property
    def _least_factor(self) -> float:
        factors = [parse(spec).least_factor or 1.0 for spec in self.compressions]
        if self.repost is not None and self.repost.resize_chance:
            factors.append(_step(self.repost.resize, Resize, "").least)
        return min([1.0, *factors])

    @property
    def too_small(self) -> str:
        """What is said of an image with fewer."""
        shrunk = f" after its resize by {self._least_factor:g}" if self._least_factor < 1 else ""
        return f"smaller than a patch of {self.patch_size}{shrunk}"

    @property
    def store(self) -> Path:
        """The folder of the prepared store."""
        if self.prepared is not None:
            return self.prepared
        first = self.folders[0] if self.folders else self.pairs[0].hr
        return first.with_name(first.name + ".prepared")


class EvaluationSetOptions(Section):
    """One named set of images: HR images to be degraded here, or a pair of folders."""

    name: str = Field(min_length=1, pattern=r"^[\w][\w .()+-]*$")
    """Name in tables and folder name of its restored images."""
    hr: Path
    """Folder of HR images."""
    lr: Path | None = None
    """Folder of LR images, named like the HR images, with or without a suffix (`0801x2.png`); null: made from `hr`
    (MATLAB bicubic, then `compressions`)."""
    compressions: tuple[str, ...] = ("none",)
    """Compressions of the LR images made here."""
    compression_names: tuple[Annotated[str, Field(pattern=r"^[\w][\w .()+-]*$")], ...] = ()
    """Names of the compressions in tables and reports, in the order of `compressions`; empty: the specs themselves."""
    scale: int | None = Field(default=None, ge=1)
    """If given, must equal the generator's scale: a reminder for the reader, checked before anything is loaded."""
    grey: Grey | None = None
    """Every image is converted to its Y first, then compressed (JPEG: with one component), restored and scored.
    `bt601_limited`: MATLAB's Y, 16 to 235; `bt601_full`: the Y of OpenCV and JPEG, 0 to 255; `file`: the files are
    grey. Null: colour."""

    @field_validator("compressions")
    @classmethod
    def _specs(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        _parsed(specs, ranges=False, training=False)
        return specs

    def name_of(self, compression: str) -> str:
        """What a compression is called in tables and reports."""
        named = zip((str(parse(spec)) for spec in self.compressions), self.compression_names)
        return dict(named).get(compression, compression)

    @model_validator(mode="after")
    def _one_source(self) -> EvaluationSetOptions:
        names = self.compression_names
        if names and (len(names) != len(self.compressions) or len(set(names)) < len(names)):
            raise ValueError(f"set {self.name!r}: compression_names: give each compression a name of its own, or none")
        if self.lr is not None and "compressions" in self.model_fields_set:
            raise ValueError(
                f"set {self.name!r}: give `lr` (images as they are) or `compressions` (made here), not both"
            )
        return self


class PhotoSetOptions(Section):
    """A folder of photos without ground truth: they are restored and shown on a contact sheet, not scored."""

    name: str = Field(min_length=1, pattern=r"^[\w][\w .()+-]*$")
    """Name of the sheet and folder name of the restored photos."""
    folder: Path
    """Folder of the photos."""
