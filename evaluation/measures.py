"""What the columns of a table measure, and the program that takes the figures of one restored image."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from evaluation.metrics import LPIPS_SMALLEST, WINDOW, Lpips, psnr_rgb, psnr_y, ssim_y
from losses import LossWeightsError

if TYPE_CHECKING:
    from evaluation.options import EvaluationOptions

MeasureName = Literal["psnr_y", "ssim_y", "psnr_rgb", "lpips", "lpips_unit_range"]


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
    "lpips": Measure("LPIPS", 4, False, "LPIPS: AlexNet v0.1, images scaled to [-1, 1] (standard), no border"),
    "lpips_unit_range": Measure(
        "LPIPS [0,1]",
        4,
        False,
        "LPIPS [0,1]: AlexNet v0.1 fed images in [0, 1] unscaled (as some papers did; not comparable with standard "
        "LPIPS), no border",
    ),
}
assert tuple(MEASURES) == get_args(MeasureName)


class Measurer:
    """Takes the wanted figures of pairs of images; safe to call from several threads.

    Attributes:
        names: the measures that can be taken here, in the options' order.
        kinds: for each name, what the figure depends on: its convention and border, or weights given by path.
        missing: the others: LPIPS without its backbone's weights, said on stderr in one line.

    Raises:
        LossWeightsError: `lpips_weights` names a file that is not there or does not fit.
    """

    def __init__(self, options: EvaluationOptions, device: torch.device | str = "cpu", *, say: bool = True):
        y = {"border": options.shaved, "convention": options.convention}
        self._functions = {
            "psnr_y": partial(psnr_y, **y),
            "ssim_y": partial(ssim_y, **y),
            "psnr_rgb": psnr_rgb,
        }
        lpips = [name for name in options.metrics if name.startswith("lpips")]
        try:
            for name in lpips:
                range = "unit_range" if name == "lpips_unit_range" else "standard"
                self._functions[name] = Lpips(range=range, weights=options.lpips_weights, device=device)
        except LossWeightsError as error:
            if options.lpips_weights is not None:
                raise
            if say:
                print(f"LPIPS is left out: {error}", file=sys.stderr)
        self.names = tuple(name for name in options.metrics if name in self._functions)
        y_kind = f"{options.convention} {options.shaved}"
        weights = f" {options.lpips_weights}" if options.lpips_weights is not None else ""
        self.kinds = {
            name: f"{name} {y_kind}" if name in ("psnr_y", "ssim_y") else name + weights * name.startswith("lpips")
            for name in self.names
        }
        self.missing = tuple(name for name in options.metrics if name not in self._functions)

    def __call__(self, sr: np.ndarray, hr: np.ndarray) -> dict[str, float]:
        """The figures of two uint8 h×w×3 images by kind.

        Raises:
            MetricError: images too small for the border, SSIM's window or LPIPS.
        """
        return {kind: self._functions[name](sr, hr) for name, kind in self.kinds.items()}


def smallest_side(options: EvaluationOptions) -> int:
    """Pixels that each side of an image must have for every wanted figure."""
    needed = {"psnr_y": 1 + 2 * options.shaved, "ssim_y": WINDOW + 2 * options.shaved, "psnr_rgb": 1}
    return max(needed.get(name, LPIPS_SMALLEST) for name in options.metrics)
