"""The non-local operator, which is our own form of it: outputs and gradients of the device and the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import skimage.data
import torch

from benchmarks.accept.machine import tf32
from benchmarks.accept.parity.difference import apart, unit
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context
from data.codecs import compress
from models.nonlocal_prior import NonLocalPrior

BANDWIDTH = 18.0
"""Added to the bandwidths η of random weights, which then are a trained prior's. At those of random weights alone,
below 2, float32 itself is 0.1 grey levels and a quarter of the gradient away from float64."""
ALLOWED = 5e-3
"""Grey levels of 255: float32 on the CPU is up to 0.001 away from float64."""


def nonlocal_operator(context: Context) -> Iterator[Row]:
    """Output on 0–255 and gradient (relative to its norm) of the operator, both masks, whole and in windows."""
    for mask in ("clamped", "released"):
        for height, width in ((48, 48), (90, 84)):
            photo = skimage.data.astronaut()[100 : 100 + height, 180 : 180 + width]
            z, guide = unit(compress(photo, "jpeg10")) * 255, unit(photo) * 255
            results = {}
            for device in (torch.device("cpu"), context.device):
                torch.manual_seed(0)
                operator = NonLocalPrior(mask=mask)
                with torch.no_grad():
                    operator.bandwidth[-1].get_parameter("bias").fill_(BANDWIDTH)
                operator.to(device)
                with tf32(False):
                    restored = operator(z.to(device), guide.to(device))
                    restored.square().mean().backward()
                gradient = torch.cat([p.grad.flatten() for p in operator.parameters() if p.grad is not None]).cpu()
                results[device] = restored.detach().cpu(), gradient
            (output, gradient), (wanted, reference) = results[context.device], results[torch.device("cpu")]
            off = apart(output, wanted)
            slope = float((gradient - reference).norm() / reference.norm().clamp(min=1e-12))
            yield judged(
                f"{mask}, {height}×{width}", {"output": off, "gradient": slope},
                off <= ALLOWED and slope <= 1e-2, f"output ≤ {ALLOWED:g}, gradient ≤ 0.01",
            )  # fmt: skip
