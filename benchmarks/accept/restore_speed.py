"""How fast shipped weights restore photographs."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import skimage.data
import torch

from benchmarks.accept.machine import PeakMemory, free_memory, precisions, synchronize
from benchmarks.accept.results import Row, no_time_left
from benchmarks.accept.step import Context
from inference.forward import Precision
from inference.restorer import Restorer
from inference.shipped_weights import DEFAULTS, FOLDER, cards
from models import build_generator, options_in_file

LARGE = 100_000_000
"""Pixels of the large image."""


def shipped(context: Context) -> Iterator[Row]:
    """Megapixels of output a second, from memory to memory, of one image as large as the time allows (4 at most).

    All networks in float32 first: what one took is what it is expected to take in half precision.
    """
    cases = [(card, precision) for precision in _precisions(context) for card in cards()]
    took: dict[str, float] = {}
    for number, (card, precision) in enumerate(cases):
        if took.get(card.name, 0.0) > context.left():
            yield no_time_left(f"{card.name}, {precision}")
            continue
        start = time.monotonic()
        share = context.left() / (len(cases) - number)
        restorer = _restorer(card.path, context.device, precision)
        memory = PeakMemory(context.device)
        made, seconds = _measured(restorer, card.scale, _small(context), 4e6, 0.5 * share)
        yield Row(f"{card.name}, {precision}", {
            "megapixels/s": made / seconds / 1e6, "of an image of megapixels": made / 1e6, "tiles": restorer.tiles,
            "peak MiB": memory.mebibytes(),
        })  # fmt: skip
        free_memory(context.device)
        took[card.name] = time.monotonic() - start


def large_image(context: Context) -> Iterator[Row]:
    """One image of 100 megapixels by the default network at its own size; less where the time does not allow it."""
    precision = _precisions(context)[-1 if context.full else 0]  # many CPUs compute in bf16 what they do not have
    restorer = _restorer(FOLDER / f"{DEFAULTS[1]}.safetensors", context.device, precision)
    memory = PeakMemory(context.device)
    made, seconds = _measured(restorer, 1, _small(context), LARGE, 0.6 * context.left())
    yield Row(f"{DEFAULTS[1]}, {precision}", {
        "megapixels": made / 1e6, "seconds": seconds, "megapixels/s": made / seconds / 1e6, "tiles": restorer.tiles,
        "peak MiB": memory.mebibytes(),
    })  # fmt: skip


def _small(context: Context) -> int:
    """Pixels of the image that tells how fast a network is."""
    return 64 * 96 if context.full else 32 * 48


def _measured(restorer: Restorer, scale: int, small: int, most: float, seconds: float) -> tuple[int, float]:
    """Pixels of output, and the time that they took: of an image for about `seconds`, of `most` pixels at most.

    It is the small image itself, the second time, where a larger one would take too long.
    """
    image = photograph(small)
    restorer(image)
    took, made = _seconds(restorer, image), image.shape[0] * image.shape[1] * scale**2
    pixels = min(most, seconds * made / took)
    if pixels > 2 * made:
        image = photograph(pixels / scale**2)
        took, made = _seconds(restorer, image), image.shape[0] * image.shape[1] * scale**2
    return made, took


def _precisions(context: Context) -> list[Precision]:
    possible = precisions(context.device)
    return ["fp32", "fp16" if "fp16" in possible else "bf16"]


def _restorer(path, device: torch.device, precision: Precision) -> Restorer:
    network = build_generator(options_in_file(path)).eval().to(device).to(memory_format=torch.channels_last)
    return Restorer(network, device, precision=precision)


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
