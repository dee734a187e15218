"""LPIPS between two 8-bit RGB images, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch

from losses.lpips_network import Net, Range, build_lpips
from metrics.psnr_ssim import Image, MetricError, pair_of

SMALLEST = 32  # AlexNet's pooling has nothing left below 31


class Lpips:
    """LPIPS v0.1 (Zhang et al. 2018): 0 for equal images, larger is worse; no border is shaved.

    Args:
        net: backbone: `alex` (what papers report), `vgg` or `squeeze`.
        range: `standard`: images scaled to [-1, 1], as LPIPS is defined. `unit_range`: [0, 1] images fed as
            they are, a common slip that some published figures were made with. Always say which.
        weights: file with torchvision's `features.N.*` of the backbone. None: the file of torchvision's name
            in `checkpoints/`, else torchvision's own cache or download.
        device: where the network runs.

    Raises MetricError for an unknown net or range, losses.LossWeightsError if the backbone cannot be had or the
    file does not fit.
    """

    def __init__(
        self,
        net: Net = "alex",
        range: Range = "standard",
        weights: Path | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        for value, known in ((net, get_args(Net)), (range, get_args(Range))):
            if value not in known:
                raise MetricError(f"LPIPS {value!r} is not known: choose from {', '.join(known)}")
        self._device = torch.device(device)
        self._network = build_lpips(net, weights, range).to(self._device)

    def __call__(self, a: Image, b: Image) -> float:
        """Raise MetricError as `psnr_y` does, and below 32x32 pixels."""
        x, y = (
            image.to(self._device).permute(2, 0, 1)[None].float() / 255
            for image in pair_of(a, b, border=0, smallest=SMALLEST)
        )
        with torch.inference_mode():
            distance: float = self._network(x, y).item()
        return distance
