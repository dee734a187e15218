"""Scores of a folder of restored images, made by any program, against a folder of originals.

Images are paired by base name; suffixes that the program added are ignored.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.pairs import by_original
from metrics.psnr_ssim import WINDOW, MetricError, psnr_rgb, psnr_y, ssim_y
from utils.errors import UserError
from utils.images import image_size, read_image

LARGEST_DIFFERENCE = 7
"""Largest difference of height and width within a pair: as much as cropping to a multiple of 8 removes."""


class ScoreError(UserError):
    """The files of two folders do not pair up, or the sizes of a pair do not fit."""


@dataclass(frozen=True)
class Pair:
    """A restored image and its original; `name` is the original's base name."""

    name: str
    sr: Path
    hr: Path


@dataclass(frozen=True)
class PairScore:
    """Scores of one pair; PSNR in dB."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float


def pair_files(sr_files: list[Path], hr_files: list[Path]) -> tuple[list[Pair], list[Path]]:
    """Pair restored images with originals; return the pairs in the order of the originals, and the unpaired files.

    `data.pairs.by_original` defines which names belong together. Raises ScoreError if two files of a folder have one
    base name, or if two restored images have the same original.
    """
    originals, restored = _by_stem(hr_files), _by_stem(sr_files)
    partners, without = by_original(restored, originals)
    for name, made in partners.items():
        if len(made) > 1:
            both = f"{restored[made[0]]} and {restored[made[1]].name}"
            raise ScoreError(f"{both} both go with {originals[name].name}: keep one in the folder")
    pairs = [Pair(name, restored[partners[name][0]], path) for name, path in originals.items() if name in partners]
    lonely = [restored[stem] for stem in without]
    return pairs, lonely + [path for name, path in originals.items() if name not in partners]


def _by_stem(files: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            raise ScoreError(f"{found[path.stem]} and {path.name} have the same base name: keep one in the folder")
        found[path.stem] = path
    return found


def check_sizes(pair: Pair, border: int) -> str:
    """Check by the file headers that a pair can be scored; return a sentence about cropping, "" if none is needed.

    Raises ScoreError if one image is larger by more than `LARGEST_DIFFERENCE`, or taller but narrower; MetricError if
    the border leaves less than one SSIM window.
    """
    (sr_height, sr_width), (hr_height, hr_width) = image_size(pair.sr), image_size(pair.hr)
    higher, wider = hr_height - sr_height, hr_width - sr_width
    if max(abs(higher), abs(wider)) > LARGEST_DIFFERENCE or higher * wider < 0:
        raise ScoreError(
            f"{pair.sr}: {sr_width}x{sr_height} pixels, but {pair.hr} has {hr_width}x{hr_height}, and no "
            f"more than {LARGEST_DIFFERENCE} pixels of the larger one are cropped: check the scale and the partner"
        )
    height, width = min(sr_height, hr_height), min(sr_width, hr_width)
    if min(height, width) - 2 * border < WINDOW:
        raise MetricError(
            f"{pair.sr}: {width}x{height} pixels less a border of {border} leave no room for the "
            f"{WINDOW}x{WINDOW} window of SSIM: use a smaller border or leave the image out"
        )
    if not higher and not wider:
        return ""
    larger, old = (pair.hr, (hr_width, hr_height)) if higher + wider > 0 else (pair.sr, (sr_width, sr_height))
    return f"cropped at the bottom and right: {larger} from {old[0]}x{old[1]} to {width}x{height}"


def score_pair(pair: Pair, border: int, convention: str) -> PairScore:
    """Score a pair that `check_sizes` accepts; the larger image is cropped."""
    sr, hr = read_image(pair.sr), read_image(pair.hr)
    height, width = np.minimum(sr.shape[:2], hr.shape[:2])
    sr, hr = sr[:height, :width], hr[:height, :width]
    return PairScore(psnr_y(sr, hr, border, convention), ssim_y(sr, hr, border, convention), psnr_rgb(sr, hr, border))


def average(scores: list[PairScore]) -> PairScore:
    """Mean of each score over the images."""
    return PairScore(
        *(statistics.fmean(getattr(score, figure) for score in scores) for figure in ("psnr_y", "ssim_y", "psnr_rgb"))
    )
