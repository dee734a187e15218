"""The options of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from data.options import EvaluationSetOptions, PhotoSetOptions
from evaluation.program import ProgramOptions
from evaluation.published import FINDINGS, methods
from inference.shipped_weights import resolve
from metrics.bjontegaard import BdOptions
from metrics.measures import MeasureName, Scored
from models import AnyGeneratorOptions, GeneratorOptions
from utils.errors import UserError
from utils.section import Section

QUALITY = "{quality}"


class ModelOptions(Section):
    """One row of the tables: a network and its weights, or a program."""

    name: str = Field(min_length=1, pattern=r"^[\w][\w .()+×-]*$")
    """Name in tables and folder name of its restored images."""
    generator: AnyGeneratorOptions | None = None
    """The network; not needed if `weights` was exported by this project, as such a file names its network."""
    weights: Path | None = None
    """Without `generator`: a weights file or the name of bundled weights (`test.py restore --list`). If the file does
    not exist, the row says so. `{quality}` in the path, here and in `generator`, is replaced by the quality of the
    compression, for methods with one network per quality."""
    program: ProgramOptions | None = None
    """An external program instead of a network. If it fails, its row says so."""
    consistency: bool = False
    """Bring each DCT coefficient of the restored image of a JPEG within half a quantisation step of the file's; at
    larger scales nearly, and by calibrated networks alone (inference/consistency.py). This is the default of `test.py
    restore`."""
    colour: Path | None = None
    """Weights of a network at scale 1, a file or a bundled name. Its colour (Cb and Cr), enlarged by bicubic, replaces
    that of the restored image, as `test.py restore` does for `cisrnet_x2` and `cisr_psi_x2`."""
    published: str | None = None
    """Method in `evaluation/published/` whose scores are shown beside this row if data set, scale, compression and
    convention agree: `CISRNet`, `RDN`, …"""

    @field_validator("weights", "colour")
    @classmethod
    def _found_by_name(cls, weights: Path | None) -> Path | None:
        try:
            return None if weights is None else resolve(weights)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("published")
    @classmethod
    def _known(cls, method: str | None) -> str | None:
        if method is not None and method.casefold() not in map(str.casefold, methods()):
            raise ValueError(f"{method!r} has no published figures; known: {', '.join(methods())}")
        return method

    @field_validator("generator")
    @classmethod
    def _nothing_open(cls, generator: GeneratorOptions | None) -> GeneratorOptions | None:
        if generator is None or (generator.weights is not None and not generator.weights.is_file()):
            return generator
        return generator.resolved()

    @model_validator(mode="after")
    def _one_source(self) -> ModelOptions:
        if sum(source is not None for source in (self.generator, self.weights, self.program)) != 1:
            raise ValueError(
                f"model {self.name!r}: give `generator` (with its own weights), `weights` alone, or `program`"
            )
        if self.colour is not None and self.program is not None:
            raise ValueError(f"model {self.name!r}: `colour` is for a network, not for a program")
        return self

    @property
    def weight_file(self) -> Path | None:
        """The weights file that the row needs, if any."""
        return self.weights if self.generator is None else self.generator.weights

    @property
    def is_per_quality(self) -> bool:
        """Whether each quality has its own weights file."""
        return QUALITY in str(self.weight_file)

    def for_quality(self, quality: int) -> ModelOptions:
        """The row with the weights of one quality."""
        path = Path(str(self.weight_file).replace(QUALITY, str(quality)))
        if self.generator is None:
            return self.model_copy(update={"weights": path})
        generator = self.generator.model_copy(update={"weights": path})
        return self.model_copy(update={"generator": generator.resolved() if path.is_file() else generator})


class LeastGainOptions(Section):
    """The row with which the others are compared image by image."""

    over: str = Field(min_length=1)
    """Name of a model, for example of the input."""


class EvaluationOptions(Section):
    """Models × sets × compressions × metrics."""

    name: str = Field(pattern=r"^[\w-]+$")
    """Folder of the results below `results`."""
    results: Path = Path("results")
    """Folder of all results."""
    scale: int = Field(ge=1)
    """Scale of every model."""
    models: Annotated[tuple[ModelOptions, ...], Field(min_length=1)]
    """Rows, in order."""
    datasets: tuple[EvaluationSetOptions, ...] = ()
    """Tables, in order."""
    photos: tuple[PhotoSetOptions, ...] = ()
    """Photos without ground truth: restored, not scored."""
    metrics: Annotated[tuple[MeasureName, ...], Field(min_length=1)] = ("psnr_y", "ssim_y")
    """Columns, in order. All but `psnr_y` and `ssim_y` shave no border."""
    convention: Literal["matlab", "edsr", "cisr_psi"] = "matlab"
    """Definition of Y-PSNR and SSIM (docs/evaluation.md)."""
    border: int | None = Field(default=None, ge=0)
    """Pixels shaved before Y-PSNR and SSIM; null: the scale (0 at scale 1)."""
    scored: Scored = "image"
    """The output that is scored. `image`: the 8-bit image that is saved. `subjective_qe`: the network's output, neither
    rounded nor clamped, as in SubjectiveQE-ESRGAN's program; both images are cropped at the right and bottom to
    multiples of 8."""
    lpips_weights: Path | None = None
    """File with torchvision's `features.N.*` of AlexNet; null: torchvision's file in `checkpoints/`, its cache or a
    download. If it cannot be downloaded, the columns of LPIPS say so."""
    dists_weights: Path | None = None
    """DISTS's `weights.pt` (alpha and beta) as published by its authors; null: the column says that it is missing."""
    vgg16_weights: Path | None = None
    """File with torchvision's `features.N.*` of VGG16, for DISTS; null: as for `lpips_weights`."""
    niqe_parameters: Path | None = None
    """NIQE's `modelparameters.mat` as published by its authors; null: the column says that it is missing."""
    bd: BdOptions | None = None
    """BD-rate and BD-PSNR of every row: `{against: Input}`. Null: none."""
    least_gain: LeastGainOptions | None = None
    """Add tables that name the image that gains least over a row: `{over: Input}` shows whether a network degrades an
    image."""
    findings: tuple[str, ...] = ()
    """Comparisons stated in a paper, printed below the tables: `Figure 8`, `Figure 9` of CISRNet."""
    save_images: bool = True
    """Write every restored image as PNG."""
    report: bool = True
    """Write `report.html`: tables, curves and pictures to compare, on one page of at most 20 MB."""
    unfolding_steps: bool = False
    """Also write the output of each step of an unfolded network (CISR-PSI), and plot its PSNR."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: CUDA where there is one."""

    @property
    def folder(self) -> Path:
        """Folder of the results."""
        return self.results / self.name

    @property
    def shaved(self) -> int:
        """The border that is used."""
        return (self.scale if self.scale > 1 else 0) if self.border is None else self.border

    @field_validator("findings")
    @classmethod
    def _printed(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [finding.name for finding in FINDINGS]
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is not known; choose from {', '.join(known)}")
        return names

    @model_validator(mode="after")
    def _fits_together(self) -> EvaluationOptions:
        for position, model in enumerate(self.models):
            if model.generator is not None and model.generator.scale not in (None, self.scale):
                raise ValueError(f"models.{position}.generator.scale is {model.generator.scale}, scale is {self.scale}")
        for position, dataset in enumerate(self.datasets):
            if dataset.scale not in (None, self.scale):
                raise ValueError(f"datasets.{position}.scale is {dataset.scale}, scale is {self.scale}")
        named: dict[str, list[str]] = {
            "models": [model.name for model in self.models],
            "datasets and photos": [dataset.name for dataset in self.datasets]
            + [photos.name for photos in self.photos],
            "metrics": list(self.metrics),
        }
        for what, names in named.items():
            if len(set(names)) < len(names):
                raise ValueError(f"{what}: two of them have the same name in {names}")
        if self.bd is not None and self.bd.against not in [model.name for model in self.models]:
            raise ValueError(f"bd.against: no model is called {self.bd.against!r}")
        if self.least_gain is not None and self.least_gain.over not in [model.name for model in self.models]:
            raise ValueError(f"least_gain.over: no model is called {self.least_gain.over!r}")
        if not self.datasets and not self.photos:
            raise ValueError("nothing to restore: give `datasets` (scored), `photos` (not scored) or both")
        if self.unfolding_steps and not self.datasets:
            raise ValueError("unfolding_steps: its figure needs `datasets` to be scored on")
        if self.scored != "image":
            of_images = {
                "a grey set": any(dataset.grey is not None for dataset in self.datasets),
                "niqe": "niqe" in self.metrics,
                "unfolding_steps": self.unfolding_steps,
            }
            refused = [what for what, there in of_images.items() if there]
            if refused:
                raise ValueError(f"scored: {self.scored} does not go with {', '.join(refused)}; leave one of them out")
        return self
