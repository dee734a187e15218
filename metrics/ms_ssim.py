"""MS-SSIM: the structural similarity at five resolutions (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.psnr_ssim import C1, C2, WINDOW, Image, gaussian_window, one_thread, pair_of

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, the finest first (section 3.2 of the paper)."""
SMALLEST = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Pixels that each side must have, so that a window fits at the coarsest scale: 161."""


@one_thread()
def ms_ssim(a: Image, b: Image) -> float:
    """Mean of the MS-SSIM of R, G and B, 1 for equal images; of a grey image that of what it holds. No border.

    At each scale contrast and structure (cs) are averaged over all 11×11 Gaussian windows (σ 1.5) inside the image, at
    the coarsest the whole SSIM; MS-SSIM is the product of these means, each to the power of its scale's weight. Between
    scales 2×2 pixels are averaged; a last odd row or column is repeated. A mean cs below 0 counts as 0.

    Source: Wang, Simoncelli and Bovik, Multi-scale structural similarity for image quality assessment, Asilomar 2003.

    Raises:
        MetricError: images that cannot be compared, or of less than 161 pixels a side.
    """
    x, y = (image.permute(2, 0, 1).double() for image in pair_of(a, b, border=0, smallest=SMALLEST))
    product = torch.ones(3, dtype=torch.float64, device=x.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            x, y = _halved(x), _halved(y)
        ssim, cs = _means(x, y)
        product *= (ssim if scale == len(WEIGHTS) - 1 else cs).clamp(min=0) ** weight
    return product.mean().item()


def _halved(image: Tensor) -> Tensor:
    height, width = image.shape[1:]
    even = F.pad(image[None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(even, 2)[0]


def _means(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Means of SSIM and of cs over the windows, for each channel of two 3×h×w images."""
    window = torch.tensor(gaussian_window(), dtype=x.dtype, device=x.device)
    maps = torch.cat([x, y, x * x, y * y, x * y])[:, None]
    maps = F.conv2d(F.conv2d(maps, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))[:, 0]
    mean_x, mean_y, square_x, square_y, product = maps.split(len(x))
    covariance = product - mean_x * mean_y
    variance = square_x - mean_x**2 + square_y - mean_y**2
    cs = (2 * covariance + C2) / (variance + C2)
    ssim = cs * (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return ssim.mean(dim=(1, 2)), cs.mean(dim=(1, 2))
