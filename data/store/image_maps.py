"""One HR image to its maps in a prepared store: HR, and LR: clean, compressed, or as another program has made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.codecs import parse
from data.jpeg_files.quantisation import steps_in_file
from data.pairs.alignment import common_size, shift_between
from data.resize import imresize, modcrop
from data.store import SourceImage, leaf
from data.store.stamps import Stamp, digest_of, digest_of_pair, lr_key, stamp_of
from data.store.writer import Kind, Record, write_map
from utils.cli import one_line
from utils.errors import UserError
from utils.images import decode_image


@dataclass(frozen=True)
class Task:
    """One HR image and the kinds of it that are still to be made: (scale, compression), scale 0 for HR."""

    image: SourceImage
    kinds: tuple[Kind, ...]
    store: Path
    scale: int
    """Between the image and its LR images."""


@dataclass
class Made:
    """What became of a task: the records of the maps that are there now, and the line that says why not of all."""

    image: SourceImage
    seen: list[tuple[str, Stamp, str]] = field(default_factory=list)
    """What `Stamps.note_source` takes of each file that was read."""
    records: dict[Kind, Record] = field(default_factory=dict)
    failure: str | None = None


def make(task: Task) -> Made:
    """Make the kinds of one task."""
    path, made = task.image.path, Made(task.image)
    try:
        data, digest = _read(path, task.image.name, made)
        hr = decode_image(data, str(path))
        if task.image.lr is not None:
            _make_pair(task, task.image.lr, hr, (len(data), digest), made)
            return made
        source = {"source_bytes": len(data), "source_sha256": digest}
        clean: dict[int, np.ndarray] = {}
        for scale, spec in task.kinds:
            pixels = hr
            rate: dict[str, float] = {}
            if scale:
                if scale not in clean:
                    if min(hr.shape[:2]) < scale:
                        raise UserError(f"{path}: {hr.shape[0]}×{hr.shape[1]} is too small for ×{scale}")
                    clean[scale] = imresize(modcrop(hr, scale), 1 / scale) if scale > 1 else hr
                pixels, rate = _compressed(clean[scale], spec)
            made.records[scale, spec] = write_map(
                leaf(task.store, scale, spec), task.image.name, pixels, {**source, **rate}
            )
    except (UserError, OSError, MemoryError) as error:
        made.failure = f"{path}: {one_line(error)}" if str(path) not in str(error) else str(error)
    return made


def _read(path: Path, key: str, made: Made) -> tuple[bytes, str]:
    """The bytes of a file and their checksum: read once, so that it is of what is decoded."""
    stamp = stamp_of(path)
    data = path.read_bytes()
    digest = digest_of(data)
    made.seen.append((key, stamp, digest))
    return data, digest


def _make_pair(task: Task, path: Path, hr: np.ndarray, hr_file: tuple[int, str], made: Made) -> None:
    """Make the maps of a pair of files, of one size; LR's record has its quantisation steps and the shift between them.

    Raises:
        PairError: sizes that do not fit.
        ImageError: an LR file that is no image.
    """
    data, digest = _read(path, lr_key(task.image), made)
    lr = decode_image(data, str(path))
    scale = task.scale
    height, width = common_size(path, lr.shape, task.image.path, hr.shape, scale)
    lr, hr = lr[:height, :width], hr[: height * scale, : width * scale]
    source = {"source_bytes": hr_file[0] + len(data), "source_sha256": digest_of_pair(hr_file[1], digest)}
    for kind in task.kinds:
        pixels, about = hr, source
        if kind[0]:
            pixels, about = lr, {**source, "steps": steps_in_file(data), "shift": shift_between(lr, hr, scale)}
        made.records[kind] = write_map(leaf(task.store, *kind), task.image.name, pixels, about)


def _compressed(clean: np.ndarray, spec: str) -> tuple[np.ndarray, dict[str, float]]:
    if spec == "none":
        return clean, {}
    codec = parse(spec)
    if min(clean.shape[:2]) >= codec.size_multiple:
        clean = modcrop(clean, codec.size_multiple)
    pixels, data = codec.roundtrip(clean)
    rate = 8 * len(data) / (clean.shape[0] * clean.shape[1])
    return pixels, {"bits_per_pixel": round(rate, 6)}
