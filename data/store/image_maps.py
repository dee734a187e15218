"""One HR image to its maps in a prepared store: HR, clean LR, compressed LR."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data.codecs import parse
from data.resize import imresize, modcrop
from data.store import SourceImage, leaf
from data.store.stamps import Stamp, digest_of, stamp_of
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


@dataclass
class Made:
    """What became of a task: the records of the maps that are there now, and the line that says why not of all."""

    image: SourceImage
    stamp: Stamp | None = None
    records: dict[Kind, Record] = field(default_factory=dict)
    failure: str | None = None


def make(task: Task) -> Made:
    """Make the kinds of one task."""
    path, made = task.image.path, Made(task.image)
    try:
        made.stamp = stamp_of(path)
        data = path.read_bytes()  # once: what is decoded is what the checksum is of
        hr = decode_image(data, str(path))
        source = {"source_bytes": len(data), "source_sha256": digest_of(data)}
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


def _compressed(clean: np.ndarray, spec: str) -> tuple[np.ndarray, dict[str, float]]:
    if spec == "none":
        return clean, {}
    codec = parse(spec)
    if min(clean.shape[:2]) >= codec.size_multiple:
        clean = modcrop(clean, codec.size_multiple)
    pixels, data = codec.roundtrip(clean)
    rate = 8 * len(data) / (clean.shape[0] * clean.shape[1])
    return pixels, {"bits_per_pixel": round(rate, 6)}
