"""How fast shipped weights restore photographs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import skimage.data
import torch

from benchmarks.accept.machine import PeakMemory, free_memory, precisions, synchronize
from benchmarks.accept.results import Row
from benchmarks.accept.step import Context
from inference.forward import Precision
from inference.restorer import Restorer
from inference.shipped_weights import DEFAULTS, FOLDER, cards
from models import build_generator, options_in_file

LARGE = 100_000_000
"""Pixels of the large image."""


def shipped(context: Context) -> Iterator[Row]:
    """Megapixels of output a second, from memory to memory, of one image as large as the time allows (4 at most)."""
    cases = [(card, precision) for card in cards() for precision in _precisions(context)]
    longest = 0.0
    for number, (card, precision) in enumerate(cases):
        if longest > context.left():
            yield Row(f"{card.name}, {precision}, and what follows", verdict="not run", note="no time was left")
            return
        start = time.monotonic()
        share = context.left() / (len(cases) - number)
        restorer = _restorer(card.path, context.device, precision)
        rate, image = _warm(restorer, card.scale)
        pixels = min(4e6, max(image.size / 3 * card.scale**2, 0.5 * share * rate))
        image = photograph(pixels / card.scale**2)
        memory = PeakMemory(context.device)
        seconds = _seconds(restorer, image)
        made = image.shape[0] * image.shape[1] * card.scale**2
        yield Row(f"{card.name}, {precision}", {
            "megapixels/s": made / seconds / 1e6, "of an image of megapixels": made / 1e6, "tiles": restorer.tiles,
            "peak MiB": memory.mebibytes(),
        })  # fmt: skip
        free_memory(context.device)
        longest = max(longest, time.monotonic() - start)


def large_image(context: Context) -> Iterator[Row]:
    """One image of 100 megapixels by the default network at its own size; less where the time does not allow it."""
    precision = _precisions(context)[-1]
    restorer = _restorer(FOLDER / f"{DEFAULTS[1]}.safetensors", context.device, precision)
    rate, _ = _warm(restorer, 1)
    image = photograph(min(LARGE, max(250_000, 0.6 * context.left() * rate)))
    memory = PeakMemory(context.device)
    seconds = _seconds(restorer, image)
    made = image.shape[0] * image.shape[1]
    yield Row(f"{DEFAULTS[1]}, {precision}, {image.shape[1]}×{image.shape[0]}", {
        "megapixels": made / 1e6, "seconds": seconds, "megapixels/s": made / seconds / 1e6, "tiles": restorer.tiles,
        "peak MiB": memory.mebibytes(),
    })  # fmt: skip


def _precisions(context: Context) -> list[Precision]:
    possible = precisions(context.device)
    return ["fp32", "fp16" if "fp16" in possible else "bf16"]


def _restorer(path, device: torch.device, precision: Precision) -> Restorer:
    network = build_generator(options_in_file(path)).eval().to(device).to(memory_format=torch.channels_last)
    return Restorer(network, device, precision=precision)


def _warm(restorer: Restorer, scale: int) -> tuple[float, np.ndarray]:
    """Output pixels a second of a small image, the second time."""
    image = photograph(64 * 96)
    restorer(image)
    return image.size / 3 * scale**2 / _seconds(restorer, image), image


def _seconds(restorer: Restorer, image: np.ndarray) -> float:
    synchronize(restorer.device)
    start = time.perf_counter()
    restorer(image)
    return time.perf_counter() - start


def photograph(pixels: float) -> np.ndarray:
    """uint8 h×w×3 of about so many pixels, 3:2: a photograph, repeated where it is too small."""
    photo = skimage.data.coffee()
    height = max(8, int((pixels / 1.5) ** 0.5))
    width = max(8, int(pixels / height))
    times = (-(-height // photo.shape[0]), -(-width // photo.shape[1]), 1)
    return np.ascontiguousarray(np.tile(photo, times)[:height, :width])
