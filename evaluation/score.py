"""Score a folder of restored images against a folder of originals: `python test.py score`.

The images may come from any program; a pair is found by base name, whatever suffix that program has added.
"""

from __future__ import annotations

import argparse
import csv
import io
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.pairs import by_original
from evaluation.metrics import CONVENTIONS, WINDOW, MetricError, psnr_rgb, psnr_y, ssim_y
from utils.errors import UserError
from utils.files import write_atomically
from utils.images import image_size, list_images, read_image
from utils.visible import csv_cell, visible

MOST_CROPPED = 7
"""Partners may differ by this many pixels in height and in width: what cropping to a multiple of 8 takes."""


class ScoreError(UserError):
    """Folders whose files do not make pairs, or pairs whose sizes do not fit."""


@dataclass(frozen=True)
class Pair:
    """A restored image and its original; `name` is the original's base name."""

    name: str
    sr: Path
    hr: Path


@dataclass(frozen=True)
class Score:
    """Figures of one pair: PSNR in dB."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sr", type=Path, required=True, help="folder of restored images")
    parser.add_argument("--hr", type=Path, required=True, help="folder of originals")
    parser.add_argument(
        "--border", type=int, required=True, help="pixels shaved from each side: the scale, 0 at scale 1"
    )
    parser.add_argument(
        "--convention", choices=list(CONVENTIONS), default="matlab", help="of Y and SSIM (default: matlab)"
    )
    parser.add_argument("--csv", type=Path, help="also write the rows, unrounded, to this file")


def main(args: argparse.Namespace) -> int:
    """Print a row for each pair and the average.

    Returns 0, or 1 if some file has no partner: those are named on stderr and left out of the average.
    Raises ScoreError, MetricError and ImageError: nothing to score, or files that do not fit.
    """
    sr_files, hr_files = list_images(args.sr), list_images(args.hr)
    pairs, lonely = pair_files(sr_files, hr_files)
    if not pairs:
        raise ScoreError(
            f"{args.sr} and {args.hr}: no two files share a base name (the first are {sr_files[0].name} "
            f"and {hr_files[0].name}): name the restored images like the originals"
        )
    notes = [note for pair in pairs if (note := check_sizes(pair, args.border))]
    scores = _print_table(pairs, args.border, args.convention)
    count = f"{len(pairs)} images" + (f" of {len(hr_files)} in {visible(args.hr)}" if lonely else "")
    print(f"{count}; Y by convention {args.convention}; border {args.border} (RGB too)")
    for note in notes:
        print(visible(note))
    if args.csv:
        write_atomically(args.csv, _csv(pairs, scores, args.border, args.convention))
    if lonely:
        print(f"without a partner: {', '.join(map(visible, lonely))}", file=sys.stderr)
    return 1 if lonely else 0


def pair_files(sr_files: list[Path], hr_files: list[Path]) -> tuple[list[Pair], list[Path]]:
    """Pair restored images with originals; return the pairs in the originals' order, and files left alone.

    Names go together as `data.pairs.by_original` says. Raises ScoreError where a folder has two files of one base
    name or two restored images have the same original.
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
    """Check by their headers that a pair can be scored; return what will be cropped, "" if nothing.

    Raises ScoreError if one is larger by more than `MOST_CROPPED`, or taller but narrower; MetricError if the
    border leaves less than one SSIM window.
    """
    (sr_height, sr_width), (hr_height, hr_width) = image_size(pair.sr), image_size(pair.hr)
    higher, wider = hr_height - sr_height, hr_width - sr_width
    if max(abs(higher), abs(wider)) > MOST_CROPPED or higher * wider < 0:
        raise ScoreError(
            f"{pair.sr}: {sr_width}x{sr_height} pixels, but {pair.hr} has {hr_width}x{hr_height}, and no "
            f"more than {MOST_CROPPED} pixels of the larger one are cropped: check the scale and the partner"
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


def score_pair(pair: Pair, border: int, convention: str) -> Score:
    """Score one pair whose sizes `check_sizes` has accepted; the larger one is cropped."""
    sr, hr = read_image(pair.sr), read_image(pair.hr)
    height, width = np.minimum(sr.shape[:2], hr.shape[:2])
    sr, hr = sr[:height, :width], hr[:height, :width]
    return Score(psnr_y(sr, hr, border, convention), ssim_y(sr, hr, border, convention), psnr_rgb(sr, hr, border))


def average(scores: list[Score]) -> Score:
    """Mean of each figure over the images."""
    return Score(
        *(statistics.fmean(getattr(score, figure) for score in scores) for figure in ("psnr_y", "ssim_y", "psnr_rgb"))
    )


def _print_table(pairs: list[Pair], border: int, convention: str) -> list[Score]:
    width = max(len("average"), *(len(visible(pair.name)) for pair in pairs))
    print(f"{'image':{width}}  {'PSNR Y':>7}  {'SSIM Y':>6}  {'PSNR RGB':>8}")

    def row(name: str, score: Score) -> None:
        line = f"{name:{width}}  {score.psnr_y:7.3f}  {score.ssim_y:6.4f}  {score.psnr_rgb:8.3f}"
        print(line, flush=True)  # a folder of large images takes a while

    scores = []
    for pair in pairs:
        scores.append(score_pair(pair, border, convention))
        row(visible(pair.name), scores[-1])
    row("average", average(scores))
    return scores


def _csv(pairs: list[Pair], scores: list[Score], border: int, convention: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "sr", "hr", "convention", "border", "psnr_y", "ssim_y", "psnr_rgb"))
    for pair, score in zip(pairs, scores, strict=True):
        figures = (score.psnr_y, score.ssim_y, score.psnr_rgb)
        writer.writerow((*map(csv_cell, (pair.name, pair.sr, pair.hr)), convention, border, *figures))
    return text.getvalue().encode()
