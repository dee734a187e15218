"""Networks without released outputs, and the bundled weights: does the device compute what the CPU does?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import skimage.data
import torch

from benchmarks.accept.parity.difference import FP32, Outputs, in_all_precisions, unit
from benchmarks.accept.results import Row
from benchmarks.accept.step import Context
from data.codecs import compress
from inference.forward import run
from inference.shipped_weights import cards
from models import Generator, build_generator, options_in_file

RANDOM: dict[str, dict[str, Any]] = {
    "bicubic": {"scale": 3},
    "arcnn": {"scale": 1},
    "dncnn": {"scale": 1, "layers": 6},
    "vdsr": {"scale": 2, "num_feat": 16, "layers": 6},
    "rcan": {"scale": 2, "num_feat": 16, "groups": 1, "blocks": 2},
    "rdn": {"scale": 2, "num_feat": 16, "num_grow_ch": 16, "blocks": 2, "layers": 2},
}
"""Networks of which no weights are here, with small sizes."""
STEPS = (80.0, 90.0)
"""Mean quantisation steps of luma and chroma, for networks that read them; about those of JPEG 10."""


def networks_against_cpu(context: Context) -> Iterator[Row]:
    """Every other network, and the bundled weights, against the CPU in float32."""
    photo = unit(compress(skimage.data.astronaut()[60:124, 180:260], "jpeg10"))
    torch.manual_seed(0)
    cases = [
        (f"{kind} ×{sizes['scale']}{', random' if kind != 'bicubic' else ''}", build_generator({"type": kind, **sizes}))
        for kind, sizes in RANDOM.items()
    ]
    cases += [(card.name, build_generator(options_in_file(card.path))) for card in cards()]

    def forward(network: Generator, device: torch.device) -> Outputs:
        return {"sr": run(network, photo.to(device), STEPS) * 255}

    for name, network in cases:
        network = network.eval()
        with torch.inference_mode():
            wanted = forward(network, torch.device("cpu"))
        yield in_all_precisions(context, name, network.to(context.device), forward, wanted, FP32)
