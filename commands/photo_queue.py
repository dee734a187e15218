"""Photos one after the other through a network: decoded ahead, encoded behind, and none stops the others."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from commands.output_checks import check_target
from commands.photo_files import Job
from data.jpeg_files import NO_FILE, CompressedFile
from inference.restorer import Restorer
from utils.cli import one_line
from utils.errors import UserError
from utils.images import as_stored, image_size, upright
from utils.images.photo_writer import LONGEST_SIDE, write_photo
from utils.images.photos import Photo, read_photo
from utils.visible import visible

SMALL = 16_000_000
"""Photos of up to this many pixels, restored, are decoded ahead and encoded behind; larger ones one by one."""


@dataclass
class Summary:
    """What became of the photos: how many were restored or skipped, and why each other one failed."""

    restored: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)


def restore_all(
    jobs: list[Job],
    restorer: Restorer,
    max_pixels: int,
    quality: int = 95,
    *,
    overwrite: bool = False,
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
                    file = _what_it_tells(job.source, restorer)
                    restored = _restored(photo, file, restorer, bar)
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
    check_target(job.target, height * width * scale**2)
    return read_photo(job.source, max_pixels)


def _restored(photo: Photo, file: CompressedFile, restorer: Restorer, bar: tqdm) -> Photo:
    tiles = restorer.plan(*photo.pixels.shape[:2]).count
    with tqdm(total=tiles, unit="tile", leave=False, disable=tiles == 1 or bar.disable) as tile_bar:

        def progress(done: int, count: int) -> None:
            tile_bar.total, tile_bar.n = count, done
            tile_bar.refresh()

        # What a file tells is told of the pixels as it stores them.
        stored = as_stored(photo.pixels, photo.orientation)
        pixels = upright(restorer(stored, progress, file), photo.orientation)
    notes = (*photo.notes, restorer.note) if restorer.note else photo.notes
    height, width = pixels.shape[:2]
    alpha = photo.alpha
    if alpha is not None and restorer.generator.scale > 1:
        alpha = cv2.resize(np.ascontiguousarray(alpha), (width, height), interpolation=cv2.INTER_CUBIC)
    return replace(photo, pixels=pixels, alpha=alpha, notes=notes)


def _what_it_tells(source: Path, restorer: Restorer) -> CompressedFile:
    """The photo's file, where the result depends on it."""
    if not restorer.reads_files:
        return NO_FILE
    try:
        return CompressedFile(source.read_bytes())
    except OSError as error:
        raise UserError(f"{source}: cannot be read: {error.strerror or error}") from None
