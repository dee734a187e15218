"""Score a folder of restored images against a folder of originals: `python test.py score`.

The images may come from any program; a pair is found by base name, whatever suffix that program has added.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from pathlib import Path

from evaluation.folder_scores import Pair, PairScore, ScoreError, average, check_sizes, pair_files, score_pair
from metrics.psnr_ssim import CONVENTIONS
from utils.files import write_atomically
from utils.images import list_images
from utils.visible import csv_cell, visible


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="test.py score", description="Score the images of one folder against another's."
    )
    parser.add_argument("--sr", type=Path, required=True, help="folder of restored images")
    parser.add_argument("--hr", type=Path, required=True, help="folder of originals")
    parser.add_argument(
        "--border", type=int, required=True, help="pixels shaved from each side: the scale, 0 at scale 1"
    )
    parser.add_argument(
        "--convention", choices=list(CONVENTIONS), default="matlab", help="convention of Y and SSIM (default: matlab)"
    )
    parser.add_argument("--csv", type=Path, help="also write the rows, unrounded, to this file")
    return parser.parse_args(argv)


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


def _print_table(pairs: list[Pair], border: int, convention: str) -> list[PairScore]:
    width = max(len("average"), *(len(visible(pair.name)) for pair in pairs))
    print(f"{'image':{width}}  {'PSNR Y':>7}  {'SSIM Y':>6}  {'PSNR RGB':>8}")

    def row(name: str, score: PairScore) -> None:
        line = f"{name:{width}}  {score.psnr_y:7.3f}  {score.ssim_y:6.4f}  {score.psnr_rgb:8.3f}"
        print(line, flush=True)  # a folder of large images takes a while

    scores = []
    for pair in pairs:
        scores.append(score_pair(pair, border, convention))
        row(visible(pair.name), scores[-1])
    row("average", average(scores))
    return scores


def _csv(pairs: list[Pair], scores: list[PairScore], border: int, convention: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "sr", "hr", "convention", "border", "psnr_y", "ssim_y", "psnr_rgb"))
    for pair, score in zip(pairs, scores, strict=True):
        figures = (score.psnr_y, score.ssim_y, score.psnr_rgb)
        writer.writerow((*map(csv_cell, (pair.name, pair.sr, pair.hr)), convention, border, *figures))
    return text.getvalue().encode()
