"""Restore photos: `python test.py restore INPUT... --output FOLDER --model NAME`. For users: docs/restoring.md."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from evaluation.choose import choose_generator
from evaluation.inference import OVERLAP, Restorer
from evaluation.loading import pick_device, ready
from evaluation.restoring.photo_files import Job, find_jobs
from evaluation.weights_by_name import FOLDER, cards
from utils.cli import one_line
from utils.errors import UserError
from utils.images import image_size
from utils.photo_writer import LONGEST_SIDE, write_photo
from utils.photos import Photo, read_photo
from utils.visible import visible

SMALL = 16_000_000
"""Photos of up to this many pixels, restored, are decoded ahead and encoded behind; larger ones one by one."""


@dataclass
class Summary:
    """What became of the photos: how many were restored or skipped, and why each other one failed."""

    restored: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="photos, folders of photos, or globs in quotes")
    parser.add_argument("--output", type=Path, help="folder of the restored photos; sub-folders are mirrored")
    network = parser.add_argument_group("network (one of the three)")
    network.add_argument("--model", metavar="NAME", help="weights in checkpoints/, see --list; default: by --scale")
    network.add_argument(
        "--weights", type=Path, metavar="FILE", help="trained here, or a published file: docs/restoring.md"
    )
    network.add_argument(
        "--options",
        type=Path,
        metavar="FILE",
        help="a training file's generator (with --weights), or a model of an evaluation file (by --model)",
    )
    network.add_argument("--scale", type=int, help="choose among the weights in checkpoints/ by scale")
    network.add_argument("--list", action="store_true", help="print the weights in checkpoints/ and exit")
    files = parser.add_argument_group("files")
    formats = [suffix.strip(".") for suffix in LONGEST_SIDE]
    files.add_argument("--format", choices=formats, default="png", help="of the restored photos (default: png)")
    files.add_argument("--quality", type=int, help="1 to 100, for jpg, webp and avif (default: 95)")
    files.add_argument("--overwrite", action="store_true", help="restore again what is already there, else skipped")
    files.add_argument(
        "--max-megapixels", type=float, default=200, help="refuse larger photos, before and after (default: 200)"
    )
    how = parser.add_argument_group("computation")
    how.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="default: CUDA if there is one")
    how.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="default: fp32")
    how.add_argument("--self-ensemble", action="store_true", help="mean over 8 orientations: 8 x the time")
    how.add_argument(
        "--tile",
        type=int,
        help="side of the tiles in input pixels; default: whole where memory allows. Tiles change what networks give "
        "that look at the whole image (CISRNet, RCAN, CISR-PSI), and may show there",
    )
    how.add_argument("--overlap", type=int, default=OVERLAP, help=f"input pixels that tiles share (default: {OVERLAP})")


def parse(argv: list[str]) -> argparse.Namespace:
    """The arguments; all that stands behind `--` is photos, whatever it begins with."""
    parser = argparse.ArgumentParser(prog="test.py restore", description="Restore photos (docs/restoring.md).")
    add_arguments(parser)
    place = argv.index("--") if "--" in argv else len(argv)
    arguments = parser.parse_intermixed_args(argv[:place])
    arguments.inputs += argv[place + 1 :]
    return arguments


def main(args: argparse.Namespace) -> int:
    """Restore every photo that can be; the others are named at the end.

    Returns 0, or 1 if some photo failed. Raises UserError and WeightsError for mistakes in the arguments.
    """
    if args.list:
        print(_list())
        return 0
    _check(args)
    warnings.filterwarnings("ignore", module="PIL")  # what it says of damaged files stands in the summary
    suffix = f".{args.format}"
    found = find_jobs(args.inputs, args.output, suffix)
    device = pick_device(args.device)
    options = choose_generator(args.model, args.weights, args.options, args.scale)
    generator = ready(options, device)
    restorer = Restorer(
        generator,
        device,
        precision=args.precision,
        self_ensemble=args.self_ensemble,
        tile=args.tile,
        overlap=args.overlap,
    )
    _check_output(args.output)
    limit = int(args.max_megapixels * 1e6)
    summary = restore_all(found.jobs, restorer, limit, args.quality or 95, overwrite=args.overwrite)
    summary.failed += map(one_line, found.unreadable)
    parts = [f"restored {summary.restored}"]
    if summary.skipped:
        parts.append(f"skipped {summary.skipped} that are there already (--overwrite restores them again)")
    if summary.failed:
        parts.append(f"failed {len(summary.failed)}")
    print(f"{', '.join(parts)}; in {visible(args.output)}")
    if found.passed_over:
        print(visible(found.said()), file=sys.stderr)
    for line in summary.failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if summary.failed else 0


def _check(args: argparse.Namespace) -> None:
    if not args.inputs or args.output is None:
        raise UserError("give photos or folders to restore, and --output FOLDER; --help shows all")
    if args.output.exists() and not args.output.is_dir():
        raise UserError(f"{args.output}: a file stands where the output folder should be")
    if args.quality is not None and args.format == "png":
        raise UserError("--quality is for jpg, webp and avif: PNG loses nothing")
    if args.quality is not None and not 1 <= args.quality <= 100:
        raise UserError(f"--quality is {args.quality}; give 1 to 100")
    if not 0 < args.max_megapixels <= 100_000:
        raise UserError(f"--max-megapixels is {args.max_megapixels:g}; give a number above 0, up to 100000")


def _check_output(folder: Path) -> None:
    """Make the folder and write to it, so that a disk that is full or may not be written is known before the work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the folder cannot be made ({error.strerror or error})") from None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".tmp") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror or error}; give another --output") from None


def _list() -> str:
    found = cards()
    if not found:
        return f"no weights in {FOLDER} yet"
    width = max(len(card.name) for card in found)
    lines = (f"{card.name:{width}}  {card.system:9} x{card.scale}  {card.summary}" for card in found)
    return "\n".join(map(visible, lines))


def restore_all(
    jobs: list[Job], restorer: Restorer, max_pixels: int, quality: int = 95, *, overwrite: bool = False
) -> Summary:
    """Restore the photos of `jobs`; one that cannot be read, restored or written does not stop the others.

    While one photo is restored, the next one is decoded and the one before encoded, if they are `SMALL`.
    """
    summary = Summary()
    todo = []
    for job in jobs:
        if not overwrite and job.target.exists():
            summary.skipped += 1
        else:
            todo.append(job)
    scale = restorer.generator.scale
    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
        tqdm(total=len(jobs), initial=summary.skipped, unit="photo", disable=None) as bar,
    ):
        saving: tuple[Job, Future] | None = None

        def say(job: Job, notes: tuple[str, ...]) -> None:
            for note in notes:
                bar.write(visible(f"note: {job.source}: {note}"), file=sys.stderr)

        def finish_saving() -> None:
            nonlocal saving
            if saving is not None:
                job, done = saving
                saving = None
                with _reported(job, summary):
                    say(job, done.result())
                    summary.restored += 1

        ahead: Future | None = None
        try:
            for job, following in zip_longest(todo, todo[1:]):
                small = _is_small(job, scale)
                if not small:
                    finish_saving()
                opened = ahead or reader.submit(_load, job, scale, max_pixels)
                ahead = None
                if small and following is not None and _is_small(following, scale):
                    ahead = reader.submit(_load, following, scale, max_pixels)
                restored = None
                with _reported(job, summary):
                    photo = opened.result()
                    del opened  # the future would keep the photo
                    restored = _restored(photo, restorer, bar)
                    del photo
                finish_saving()
                if restored is not None:
                    say(job, restored.notes)
                    saving = job, writer.submit(write_photo, job.target, restored, quality)
                    del restored
                    if not small:
                        finish_saving()
                bar.update()
            finish_saving()
        finally:
            # After Ctrl-C: what is being written is finished, nothing else is begun.
            reader.shutdown(cancel_futures=True)
            writer.shutdown(cancel_futures=True)
    return summary


@contextlib.contextmanager
def _reported(job: Job, summary: Summary) -> Iterator[None]:
    """A mistake in one photo, or too little memory for it, becomes a line of the summary."""
    try:
        yield
    except UserError as error:
        text = str(error)
        summary.failed.append(one_line(text if str(job.source) in text else f"{job.source}: {text}"))
    except MemoryError:
        summary.failed.append(one_line(f"{job.source}: too little memory for a photo of this size"))


def _is_small(job: Job, scale: int) -> bool:
    try:
        height, width = image_size(job.source)
    except UserError:
        return True  # it will fail without taking memory
    return height * width * scale**2 <= SMALL


def _load(job: Job, scale: int, max_pixels: int) -> Photo:
    height, width = image_size(job.source, max_pixels=sys.maxsize)
    if height * width * scale**2 > max_pixels:
        restored = f", {width * scale}x{height * scale} restored" if scale > 1 else ""
        raise UserError(
            f"{job.source}: {width}x{height} pixels{restored}, more than --max-megapixels {max_pixels / 1e6:g}: "
            "raise it if you trust the file"
        )
    longest = LONGEST_SIDE[job.target.suffix]
    if max(height, width) * scale > longest:
        raise UserError(
            f"{job.source}: {width * scale}x{height * scale} pixels restored, "
            f"{job.target.suffix[1:]} ends at {longest} a side: use --format png"
        )
    _check_target(job.target, height * width * scale**2)
    return read_photo(job.source, max_pixels)


def _check_target(target: Path, pixels: int) -> None:
    """Refuse, before the work, a file that cannot be written; how many bytes it will take is not known before."""
    folder = next(parent for parent in target.parents if parent.exists())
    if target.is_dir():
        raise UserError(f"{target}: cannot be written: a folder stands there")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{target}: cannot be written: {folder} may not be written to")
    least = pixels // (4 if target.suffix == ".png" else 64)
    if (free := shutil.disk_usage(folder).free) < least:
        raise UserError(
            f"{target}: cannot be written: {free / 1e6:.1f} MB are free, it takes more than {least / 1e6:.1f}"
        )


def _restored(photo: Photo, restorer: Restorer, bar: tqdm) -> Photo:
    tiles = restorer.plan(*photo.pixels.shape[:2]).count
    with tqdm(total=tiles, unit="tile", leave=False, disable=tiles == 1 or bar.disable) as tile_bar:

        def progress(done: int, count: int) -> None:
            tile_bar.total, tile_bar.n = count, done
            tile_bar.refresh()

        pixels = restorer(photo.pixels, progress)
    notes = (*photo.notes, restorer.note) if restorer.note else photo.notes
    height, width = pixels.shape[:2]
    alpha = photo.alpha
    if alpha is not None and restorer.generator.scale > 1:
        alpha = cv2.resize(np.ascontiguousarray(alpha), (width, height), interpolation=cv2.INTER_CUBIC)
    return replace(photo, pixels=pixels, alpha=alpha, notes=notes)
