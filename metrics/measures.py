"""What the columns of a table measure, and the program that takes the figures of one restored image."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from losses import LossWeightsError
from metrics.dists import SMALLEST as DISTS_SMALLEST
from metrics.dists import Dists
from metrics.lpips import SMALLEST as LPIPS_SMALLEST
from metrics.lpips import Lpips
from metrics.ms_ssim import SMALLEST as MS_SSIM_SMALLEST
from metrics.ms_ssim import ms_ssim
from metrics.niqe import SMALLEST as NIQE_SMALLEST
from metrics.niqe import Niqe
from metrics.psnr_b import SMALLEST as BLOCKS_SMALLEST
from metrics.psnr_b import psnr_b
from metrics.psnr_ssim import WINDOW, Image, Unrounded, psnr_rgb, psnr_y, ssim_rgb, ssim_y
from utils.cli import one_line

MeasureName = Literal[
    "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "psnr_b", "ms_ssim", "lpips", "lpips_unit_range", "dists", "niqe"
]

Scored = Literal["image", "subjective_qe"]
"""What of a restored image is measured: see `EvaluationOptions.scored`."""
CROPPED_TO = {"image": 1, "subjective_qe": 8}
"""Multiples of pixels that both images are cropped to, at the right and at the bottom, before anything else."""


@dataclass(frozen=True)
class Measure:
    """A column: its heading, decimals printed, whether more is better, and how a caption says what it is."""

    heading: str
    decimals: int
    more_is_better: bool
    meaning: str


MEASURES: dict[str, Measure] = {
    "psnr_y": Measure("Y-PSNR", 3, True, "Y-PSNR in dB"),
    "ssim_y": Measure("SSIM", 4, True, "SSIM of Y"),
    "psnr_rgb": Measure("RGB-PSNR", 3, True, "RGB-PSNR in dB, no border"),
    "ssim_rgb": Measure("RGB-SSIM", 4, True, "RGB-SSIM: mean of the three channels', no border"),
    "psnr_b": Measure(
        "PSNR-B",
        3,
        True,
        "PSNR-B in dB: MSE of R, G and B plus the blocking effect of the restored image's Y (16 to 235), no border",
    ),
    "ms_ssim": Measure("MS-SSIM", 4, True, "MS-SSIM: five scales, mean of the three channels', no border"),
    "lpips": Measure("LPIPS", 4, False, "LPIPS: AlexNet v0.1, images scaled to [-1, 1] (standard), no border"),
    "lpips_unit_range": Measure(
        "LPIPS [0,1]",
        4,
        False,
        "LPIPS [0,1]: AlexNet v0.1 fed images in [0, 1] unscaled (as some papers did; not comparable with standard "
        "LPIPS), no border",
    ),
    "dists": Measure("DISTS", 4, False, "DISTS: VGG16, images not resized, no border"),
    "niqe": Measure("NIQE", 3, False, "NIQE of the restored image alone, blocks of 96×96 pixels"),
}
assert tuple(MEASURES) == get_args(MeasureName)


class Measurer:
    """Takes the wanted figures of pairs of images; safe to call from several threads.

    Args:
        wanted: names of measures.
        border: pixels shaved before Y-PSNR and SSIM of Y.
        convention: of these two, a key of `metrics.psnr_ssim.CONVENTIONS`.
        lpips_weights, dists_weights, vgg16_weights, niqe_parameters: files; None: looked for where each metric says.
        scored: of the 8-bit image, or of what SubjectiveQE-ESRGAN's program measures.
        say: whether a measure that is left out is named on stderr.

    Attributes:
        names: the measures that can be taken here, in the order of `wanted`.
        kinds: for each name, what the figure depends on: its convention and border, weights given by path, and
            `scored` if it is not `image`.
        missing: the others: LPIPS, DISTS and NIQE without their weights, said on stderr in one line each.

    Raises:
        LossWeightsError: `lpips_weights`, `dists_weights`, `vgg16_weights` or `niqe_parameters` names a file that is
            not there or does not fit.
    """

    def __init__(
        self,
        wanted: Sequence[MeasureName],
        *,
        border: int = 0,
        convention: str = "matlab",
        lpips_weights: Path | None = None,
        dists_weights: Path | None = None,
        vgg16_weights: Path | None = None,
        niqe_parameters: Path | None = None,
        scored: Scored = "image",
        device: torch.device | str = "cpu",
        say: bool = True,
    ):
        self._functions: dict[str, Callable[..., float]] = {
            "psnr_y": lambda sr, hr, grey: psnr_y(sr, hr, border, "grey" if grey else convention),
            "ssim_y": lambda sr, hr, grey: ssim_y(sr, hr, border, "grey" if grey else convention),
            "psnr_rgb": lambda sr, hr, _: psnr_rgb(sr, hr),
            "ssim_rgb": lambda sr, hr, _: ssim_rgb(sr, hr),
            "psnr_b": lambda sr, hr, grey: psnr_b(sr, hr, "grey" if grey else "matlab"),
            "ms_ssim": lambda sr, hr, _: ms_ssim(sr, hr),
        }
        learnt: dict[MeasureName, tuple[Callable[[], Callable[..., float]], tuple[Path | None, ...]]] = {
            "lpips": (lambda: Lpips(weights=lpips_weights, device=device), (lpips_weights,)),
            "lpips_unit_range": (
                lambda: Lpips(range="unit_range", weights=lpips_weights, device=device),
                (lpips_weights,),
            ),
            "dists": (
                lambda: Dists(dists_weights, vgg16_weights, device),
                (dists_weights, vgg16_weights),
            ),
            "niqe": (lambda: _without_original(Niqe(niqe_parameters)), (niqe_parameters,)),
        }
        self.kinds: dict[MeasureName, str] = {name: name for name in wanted}
        self.kinds |= {name: f"{name} {convention} {border}" for name in wanted if name in ("psnr_y", "ssim_y")}
        said: set[str] = set()
        for name in wanted:
            if name not in learnt:
                continue
            build, files = learnt[name]
            try:
                metric = build()
            except LossWeightsError as error:
                if any(file is not None for file in files):
                    raise
                del self.kinds[name]
                if say and str(error) not in said:
                    said.add(str(error))
                    print(f"{MEASURES[name].heading} is left out: {one_line(error)}", file=sys.stderr)
                continue
            self._functions[name] = lambda sr, hr, _, metric=metric: metric(sr, hr)
            self.kinds[name] = " ".join([name, *(str(file) for file in files if file is not None)])
        if scored != "image":
            self.kinds = {name: f"{kind} {scored}" for name, kind in self.kinds.items()}
        self._multiple = CROPPED_TO[scored]
        self.names = tuple(self.kinds)
        self.missing = tuple(name for name in wanted if name not in self.kinds)

    def __call__(self, sr: np.ndarray | Unrounded, hr: np.ndarray, *, grey: bool = False) -> dict[str, float]:
        """The figures by kind of two images h×w×3: uint8, or what a network gave before it was rounded.

        Args:
            grey: their channels are equal, and Y is what they hold.

        Raises:
            MetricError: images too small for the border, a window or a network.
        """
        height, width = (side - side % self._multiple for side in hr.shape[:2])
        restored: Image = Unrounded(sr.values[:height, :width]) if isinstance(sr, Unrounded) else sr[:height, :width]
        original = hr[:height, :width]
        return {kind: self._functions[name](restored, original, grey) for name, kind in self.kinds.items()}


def _without_original(metric: Callable[[np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    return lambda sr, _hr: metric(sr)


def smallest_side(wanted: Sequence[MeasureName], border: int) -> int:
    """Pixels that each side of an image must have for every wanted figure."""
    needed: dict[MeasureName, int] = {
        "psnr_y": 1 + 2 * border,
        "ssim_y": WINDOW + 2 * border,
        "psnr_rgb": 1,
        "ssim_rgb": WINDOW,
        "psnr_b": BLOCKS_SMALLEST,
        "ms_ssim": MS_SSIM_SMALLEST,
        "lpips": LPIPS_SMALLEST,
        "lpips_unit_range": LPIPS_SMALLEST,
        "dists": DISTS_SMALLEST,
        "niqe": NIQE_SMALLEST,
    }
    return max(needed[name] for name in wanted)
