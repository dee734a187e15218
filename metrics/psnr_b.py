"""PSNR-B: PSNR that also counts the steps that a block codec leaves at its block borders (Yim and Bovik 2011)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from metrics.psnr_ssim import PEAK, Image, known_convention, luma, one_thread, pair_of

BLOCK = 8
"""Side of JPEG's blocks."""
SMALLEST = BLOCK + 1
"""Pixels that each side must have: one block and a neighbour."""


@one_thread()
def psnr_b(restored: Image, original: Image, convention: str = "matlab") -> float:
    """PSNR-B in dB: 10·log10(255² / (MSE + BEF)); inf where both are 0.

    MSE is that of R, G and B; BEF is the blocking effect factor of the *restored* image's Y (`blocking_effect`), in
    the same squared grey levels: so FBCNN, JDEC and their successors tabulate colour images, with the Y of `matlab`
    (16 to 235). For grey images name `grey`: their Y is what they hold, and both terms are of it. No border is shaved,
    as the blocks are counted from the image's corner.

    Source: Yim and Bovik, Quality Assessment of Deblocked Images, IEEE TIP 20(1), 2011, equations 6 to 12.

    Raises:
        MetricError: images that cannot be compared, of less than 9×9 pixels, or a convention that does not exist.
    """
    how = known_convention(convention)
    a, b = pair_of(restored, original, border=0, smallest=SMALLEST)
    mse = (a.double() - b.double()).square().mean().item()
    error = mse + blocking_effect(luma(a, how))
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def blocking_effect(y: Tensor) -> float:
    """The blocking effect factor (BEF) of one channel (height × width) for blocks of 8×8 pixels.

    D_b is the mean squared difference of the neighbours, side by side and one above the other, between which a block
    ends (columns 7 and 8, 15 and 16, …); D_c is that of all other neighbours. BEF = η·(D_b − D_c) where D_b is the
    larger, else 0; η = log2(8) / log2(the smaller side).

    Where a side is no multiple of 8, the programs behind some papers divide the sum of D_b by the count of whole blocks
    less one; here it is a plain mean.
    """
    at_blocks, elsewhere = [], []
    for steps in (y.diff(dim=1).square().T, y.diff(dim=0).square()):
        is_block = torch.arange(steps.shape[0], device=y.device) % BLOCK == BLOCK - 1
        at_blocks.append(steps[is_block].flatten())
        elsewhere.append(steps[~is_block].flatten())
    excess = (torch.cat(at_blocks).mean() - torch.cat(elsewhere).mean()).item()
    return max(excess, 0.0) * math.log2(BLOCK) / math.log2(min(y.shape))
