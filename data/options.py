"""Typed options of training data and evaluation sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from data.codecs import CodecError, parse
from data.grey import Grey
from utils.section import Section


def _parsed(specs: tuple[str, ...], *, ranges: bool, training: bool) -> tuple[str, ...]:
    names = []
    for spec in specs:
        try:
            codec = parse(spec)
        except CodecError as error:
            raise ValueError(str(error)) from None
        if codec.is_range and not ranges:
            raise ValueError(f"{spec!r} is a range; only `compress: on_the_fly` can draw from one")
        if training and not codec.keeps_size:
            raise ValueError(f"{spec!r} resizes; training pairs keep their size, and only evaluation sets take it")
        names.append(str(codec))
    if len(set(names)) < len(names):
        raise ValueError(f"a compression is given twice in {list(specs)}")
    return specs


class TrainPairsOptions(Section):
    """Two folders of images that another program, a platform or a camera made of each other."""

    lr: Path
    """Folder of LR images with the base names of the HR images, or these and a suffix (`0801x2.png`, `0801_lr.jpg`)."""
    hr: Path
    """Folder of HR images: `scale` times as large; less than one LR pixel more or fewer is cropped."""
    weight: float | None = Field(default=None, gt=0)
    """Share of the patches that are cut from these pairs, relative to the other weights; null: their number."""


class TrainDataOptions(Section):
    """What training patches are cut from."""

    hr: Path | Annotated[tuple[Path, ...], Field(min_length=1)] | None = None
    """Folder of HR images, or a list of folders; a `.tar` of `python -m data.pack` stands for one. Null: the images of
    a `prepared` store that is whole already."""
    prepared: Path | None = None
    """Folder of the prepared store (docs/data.md). Null: beside the first HR folder (of `hr`, else of `pairs`), named
    `<folder>.prepared`."""
    compressions: tuple[str, ...] = ()
    """Compressions of the LR images, drawn with equal probability: `jpeg10`, `webp30`, `hevc37`, `none`, …"""
    weight: float | None = Field(default=None, gt=0)
    """Share of the patches that are cut from `hr`, relative to the weights of `pairs`; null: its number of images."""
    pairs: tuple[TrainPairsOptions, ...] = ()
    """Pairs of folders beside `hr`, or instead of it: LR images are taken as they are."""
    compress: Literal["ahead", "on_the_fly"] = "ahead"
    """`ahead`: whole LR images are compressed once and stored. `on_the_fly`: a region around each patch is compressed
    as it is drawn, with a random phase of the block grid; allows ranges such as `jpeg10..95`."""
    patch_size: int = Field(default=48, ge=4)
    """Side of a training patch in LR pixels; the HR patch is `scale` times as large."""
    flip: bool = True
    """Flip patches horizontally and vertically at random."""
    rotate: bool = True
    """Rotate patches by 90° at random."""
    grey: float = Field(default=0.0, ge=0, le=1)
    """Share of patches that are made grey before they are compressed; `compress: on_the_fly` only."""
    hide_steps: float = Field(default=0.0, ge=0, le=1)
    """Share of JPEG patches whose quantisation is hidden from a network that reads it, as in a file that was decoded
    and saved as another format."""
    workers: int | None = Field(default=None, ge=0)
    """Loader processes per rank; 0 loads in the training process; null: one per spare core, 1 to 4."""

    @model_validator(mode="after")
    def _specs(self) -> TrainDataOptions:
        _parsed(self.compressions, ranges=self.compress == "on_the_fly", training=True)
        if self.grey and self.compress != "on_the_fly":
            raise ValueError("grey: patches are stored compressed already; set compress: on_the_fly")
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
        """LR pixels that either side of a training image must have."""
        return self.patch_size

    @property
    def too_small(self) -> str:
        """What is said of an image with fewer."""
        return f"smaller than a patch of {self.patch_size}"

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
    """Folder of LR images with the same base names, or these and a suffix (`0801x2.png`); null: made from `hr` (MATLAB
    bicubic, then `compressions`)."""
    compressions: tuple[str, ...] = ("none",)
    """Compressions of the LR images made here."""
    scale: int | None = Field(default=None, ge=1)
    """Must equal the generator's where given: a reminder for the reader, checked before anything is loaded."""
    grey: Grey | None = None
    """Grey images: Y is taken of every image first, then it is compressed (JPEG: with one component), restored and
    scored. `bt601_limited`: MATLAB's Y, 16 to 235; `bt601_full`: OpenCV's and JPEG's, 0 to 255; `file`: the files are
    grey. Null: in colour."""

    @field_validator("compressions")
    @classmethod
    def _specs(cls, specs: tuple[str, ...]) -> tuple[str, ...]:
        return _parsed(specs, ranges=False, training=False)

    @model_validator(mode="after")
    def _one_source(self) -> EvaluationSetOptions:
        if self.lr is not None and "compressions" in self.model_fields_set:
            raise ValueError(
                f"set {self.name!r}: give `lr` (images as they are) or `compressions` (made here), not both"
            )
        return self


class PhotoSetOptions(Section):
    """A folder of photos without ground truth, restored as they are: no scores, but a sheet to look at."""

    name: str = Field(min_length=1, pattern=r"^[\w][\w .()+-]*$")
    """Name of the sheet and folder name of the restored photos."""
    folder: Path
    """Folder of the photos."""
