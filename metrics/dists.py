"""DISTS: distance of the structure and texture of VGG16's features (Ding, Ma, Wang and Simoncelli 2020)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses import LossWeightsError
from losses.backbones import find_weights, load_backbone
from metrics.psnr_ssim import Image, pair_of

CHANNELS = (3, 64, 128, 256, 512, 512)
"""Of what is compared: the image itself, and what VGG16's five stages give."""
SMALLEST = 32
"""Pixels that each side must have: two are left for the last stage."""
_STAGES = ((0, 4), (5, 9), (10, 16), (17, 23), (24, 30))  # layers of `features`; a pooling stands between
_EPS = 1e-6


class Dists:
    """DISTS of two images: 0 for equal ones, larger is worse. Images go in as they are: no border, no resizing.

    The authors' example shrinks images to 256 pixels first, for which their weights were learnt; tables of restored
    images take them whole, and so does this.

    Source: Image Quality Assessment: Unifying Structure and Texture Similarity, IEEE TPAMI 2020, equations 3 to 8.

    Args:
        weights: the authors' file with `alpha` and `beta` (each 1×1475×1×1), or one of the same tensors.
        vgg16: file with torchvision's `features.N.*`; None: torchvision's own, see `losses.backbones.find_weights`.
        device: where the network runs.

    Raises:
        LossWeightsError: one of the files cannot be had, or does not fit.
    """

    def __init__(self, weights: Path | None, vgg16: Path | None = None, device: str | torch.device = "cpu") -> None:
        if weights is None:
            raise LossWeightsError("DISTS needs its alpha and beta: name the authors' file as dists_weights")
        alpha, beta = _learnt(weights)
        self._device = torch.device(device)
        total = alpha.sum() + beta.sum()
        self._alpha, self._beta = ((part / total).to(self._device).split(CHANNELS) for part in (alpha, beta))
        self._vgg16: nn.Sequential = load_backbone("vgg16", find_weights("vgg16", vgg16), 30).to(self._device)

    def __call__(self, a: Image, b: Image) -> float:
        """Raise MetricError: images that cannot be compared, or of less than 32×32 pixels."""
        with torch.inference_mode():
            pairs = zip(*(self._features(image) for image in pair_of(a, b, border=0, smallest=SMALLEST)), strict=True)
            similarity = torch.zeros((), device=self._device)
            for (x, y), alpha, beta in zip(pairs, self._alpha, self._beta, strict=True):
                mean_x, mean_y = x.mean(dim=1), y.mean(dim=1)
                texture = (2 * mean_x * mean_y + _EPS) / (mean_x**2 + mean_y**2 + _EPS)
                left_x, left_y = x - mean_x[:, None], y - mean_y[:, None]
                variances = left_x.square().mean(dim=1) + left_y.square().mean(dim=1)
                structure = (2 * (left_x * left_y).mean(dim=1) + _EPS) / (variances + _EPS)
                similarity += (alpha * texture + beta * structure).sum()
            return 1 - similarity.item()

    def _features(self, image: Tensor) -> list[Tensor]:
        """For each of `CHANNELS` that many rows of values."""
        x = image.to(self._device).permute(2, 0, 1)[None].float() / 255
        found = [x]
        mean, std = (torch.tensor(v, device=self._device).view(3, 1, 1) for v in (_MEAN, _STD))
        x = (x - mean) / std
        for number, (first, end) in enumerate(_STAGES):
            if number:
                x = _pooled(x)
            x = self._vgg16[first:end](x)
            found.append(x)
        return [features[0].flatten(1) for features in found]


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's


def _pooled(x: Tensor) -> Tensor:
    """Half the size: the root of a Hann-weighted (1 2 1) mean of squares, in place of VGG's maximum."""
    hann = torch.tensor([0.25, 0.5, 0.25], device=x.device)
    kernel = (hann[:, None] * hann).expand(x.shape[1], 1, 3, 3)
    squares = F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1])
    return (squares + 1e-12).sqrt()


def _learnt(path: Path) -> tuple[Tensor, Tensor]:
    """alpha and beta, 1475 each, in order of `CHANNELS`. Raises LossWeightsError."""
    if not path.is_file():
        raise LossWeightsError(f"{path}: no such file with DISTS's alpha and beta")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here: pickle, zip, runtime, EOF errors
        raise LossWeightsError(f"{path}: not a file of plain tensors ({type(error).__name__})") from None
    count = sum(CHANNELS)
    parts = [content.get(name) for name in ("alpha", "beta")] if isinstance(content, dict) else []
    found = [part for part in parts if isinstance(part, Tensor) and part.numel() == count]
    if len(found) != 2:
        raise LossWeightsError(f"{path}: not DISTS's weights: alpha and beta of {count} values each are needed")
    alpha, beta = (part.detach().float().flatten() for part in found)
    if not (alpha.isfinite().all() and beta.isfinite().all() and (alpha.sum() + beta.sum()) > 0):
        raise LossWeightsError(f"{path}: alpha and beta are not finite, or their sum is not above 0")
    return alpha, beta
