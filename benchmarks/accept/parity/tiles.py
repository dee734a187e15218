"""Restoring in tiles on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import skimage.data

from benchmarks.accept.machine import tf32
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context
from data.codecs import compress
from inference.restorer import Restorer
from inference.shipped_weights import DEFAULTS, FOLDER
from models import build_generator, options_in_file


def tiled_restore(context: Context) -> Iterator[Row]:
    """A photograph through shipped weights in tiles, as 8 bits, against the CPU and against the whole."""
    photo = compress(skimage.data.coffee()[:200, :296], "jpeg10")
    name = DEFAULTS[1]
    network = build_generator(options_in_file(FOLDER / f"{name}.safetensors")).eval()
    with tf32(False):
        on_cpu = Restorer(network, "cpu", tile=128)(photo)
        network = network.to(context.device)
        tiled = Restorer(network, context.device, tile=128)(photo)
        whole = Restorer(network, context.device)(photo)
    for case, other, allowed in (("tiles, to the CPU's", on_cpu, 1e-3), ("tiles, to the whole", whole, 1e-2)):
        apart = np.abs(tiled.astype(int) - other.astype(int))
        differing, most = float((apart > 0).mean()), int(apart.max())
        passed = most <= 1 and differing <= allowed
        values = {"largest difference, levels": most, "share of values that differ": differing}
        yield judged(f"{name}: {case}", values, passed, f"≤ 1 level in ≤ {100 * allowed:g} % of values")
