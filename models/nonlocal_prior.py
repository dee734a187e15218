"""The non-local operator of CISR-PSI, in linear memory (Luo et al., Signal Processing 205, 2023).

Every 3×3 patch of the guide looks for similar ones in the whole image; the patches of the compressed image
are averaged with the weights found, those that look like block artefacts counting less.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.autocast import without_autocast

MaskKind = Literal["clamped", "released"]

RELEASED_WINDOW = 80
"""The released program splits images of 80² = 6,400 pixels and more."""

_OVERLAP = 10  # pixels by which a window reaches over the middle of the image
_EDGE = 29  # gray levels: a Sobel norm from here on is an edge
_EPSILON = 0.001
_PATCH = 27  # values of a 3×3 RGB patch
_BLOCK = 1 << 22  # similarities held at once in the released arithmetic: 16 MiB
_HEAD = 32  # 27 + 2 values, filled up to a size that fused attention kernels are made for


class NonLocalPrior(nn.Module):
    """Non-local average of `z`, led by `guide`; its 88 parameters choose each patch's bandwidth η.

    With the guide's patches g (all 3×3, stride 1, no padding; N_p of them), the patch i of the output is

        Σ_j a_ij z_j / (Σ_j a_ij + 0.001),   a_ij = softmax_j(−‖g_i − g_j‖² / (η_i² + 1)) · mask_j

    and overlapping patches are averaged. The similarity is the inner product of
    [2g_i, −1, −‖g_i‖²]/(η_i² + 1) and [g_j, ‖g_j‖², 1]; numerator and denominator are the same sum over
    [z_j·mask_j, mask_j]. So the operator is one fused attention: no N_p×N_p matrix, backward included.

    Args:
        window: images of `window`² pixels and more are split into four overlapping windows, each of them
            again where it is still that large, as the released program does at 80. None: never split (linear
            memory all the same, quadratic time).
        mask: 1 − cos of two gradients reaches 2, so a patch's mask can be negative, a denominator can pass
            through zero and a pixel explode. `clamped` cuts masks off at 0. `released` leaves them, and takes
            distances between patches that are not centred, as the released program does: its float32 rounding is
            seen at small η (up to 0.03 of 255), so its outputs can be met only that way. Row by row in blocks,
            in linear memory too when no gradient is asked for, but slower than the fused attention.
    """

    def __init__(self, window: int | None = RELEASED_WINDOW, mask: MaskKind = "clamped"):
        super().__init__()
        self.window = window
        self.mask = mask
        self.bandwidth = nn.Sequential(nn.Conv2d(_PATCH, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 1, 1))

    def forward(self, z: Tensor, guide: Tensor) -> Tensor:
        """Restore `z`. Gradients reach the bandwidth's parameters only, not the images.

        Args:
            z: compressed image, `N×3×h×w`, RGB on 0–255.
            guide: image of the same shape and range that the similarities are taken from.

        Returns:
            float32 of the same shape; computed in float32 inside autocast too. Sides below 3 are padded by
            replication and cropped back.
        """
        height, width = z.shape[-2:]
        with without_autocast(z.device.type):
            z, guide = (_three_at_least(image.detach().float()) for image in (z, guide))
            return self._in_windows(z, guide)[..., :height, :width]

    def bandwidths(self, guide: Tensor) -> Tensor:
        """η of every 3×3 patch of `guide` (`N×3×h×w` on 0–255), `N×1×N_p`, without gradient."""
        with torch.no_grad():
            return self._eta(F.unfold(_three_at_least(guide), 3))

    def _eta(self, patches: Tensor) -> Tensor:
        return self.bandwidth(patches.unsqueeze(-1)).squeeze(-1)

    def _in_windows(self, z: Tensor, guide: Tensor) -> Tensor:
        """Windows have one size and go through as a batch; each keeps its part of the image, unblended."""
        height, width = z.shape[-2:]
        side_h, tops = _split(height)
        side_w, lefts = _split(width)
        windows = len(tops) * len(lefts)
        if self.window is None or height * width < self.window**2 or windows == 1:
            return self._whole(z, guide)

        def cut(image: Tensor) -> Tensor:
            return torch.cat([image[..., y : y + side_h, x : x + side_w] for y in tops for x in lefts])

        done = self._in_windows(cut(z), cut(guide)).chunk(windows)
        rows = [_join(done[i : i + len(lefts)], width, dim=3) for i in range(0, windows, len(lefts))]
        return _join(rows, height, dim=2)

    def _whole(self, z: Tensor, guide: Tensor) -> Tensor:
        height, width = z.shape[-2:]
        mask = F.avg_pool2d(1 - block_artefacts(z, guide), 3, stride=1).flatten(2)
        if self.mask == "clamped":
            mask = mask.clamp(min=0)
        patches = F.unfold(guide, 3)
        eta = self._eta(patches)
        value = torch.cat([F.unfold(z, 3) * mask, mask], dim=1)
        sums = (_sums_as_released if self.mask == "released" else _fused_sums)(patches, eta, value)
        restored = sums[:, :_PATCH] / (sums[:, _PATCH:] + _EPSILON)
        overlap = _overlap(height, z.device)[:, None] * _overlap(width, z.device)
        return F.fold(restored, (height, width), 3) / overlap


def _three_at_least(image: Tensor) -> Tensor:
    """Sides below 3, a patch's, padded by replication at the bottom and the right."""
    height, width = image.shape[-2:]
    margins = (0, max(0, 3 - width), 0, max(0, 3 - height))
    return F.pad(image, margins, mode="replicate") if any(margins) else image


def _fused_sums(patches: Tensor, eta: Tensor, value: Tensor) -> Tensor:
    """`value` (`N×28×N_p`) averaged with each patch's softmax weights, as one attention."""
    sharpness = 1 / (eta.square() + 1)
    # Distances stay when all patches move, and the smaller ‖g‖² is, the less of float32 is lost in it.
    centred = patches - patches.mean(dim=-1, keepdim=True)
    norms = centred.square().sum(dim=1, keepdim=True)
    # ‖g_i‖² cancels in a softmax over j. Left out, backward would subtract large numbers to find that the
    # rows sum to 1, and small η would get gradients of the wrong sign.
    query = _tokens(2 * centred * sharpness, -sharpness, -sharpness * norms)
    key = _tokens(centred, norms, torch.ones_like(norms))
    sums = F.scaled_dot_product_attention(query, key, _tokens(value), scale=1.0)
    return sums.squeeze(1).transpose(1, 2)[:, : _PATCH + 1]


def _sums_as_released(patches: Tensor, eta: Tensor, value: Tensor) -> Tensor:
    """The same with distances rounded as in the released program, a block of rows at a time."""
    rows = max(1, _BLOCK // patches.shape[-1])
    norms = patches.square().sum(dim=1)
    images = []
    for g, norm, width, v in zip(patches, norms, eta.squeeze(1).square() + 1, value.transpose(1, 2), strict=True):
        blocks = zip(g.T.split(rows), norm[:, None].split(rows), width[:, None].split(rows), strict=True)
        images.append(
            torch.cat([(-(-2 * g_i @ g + norm_i + norm) / width_i).softmax(-1) @ v for g_i, norm_i, width_i in blocks])
        )
    return torch.stack(images).transpose(1, 2)


def block_artefacts(z: Tensor, guide: Tensor) -> Tensor:
    """How much each pixel of `z` looks like a block artefact: an edge that the guide has not, or has turned.

    Args:
        z, guide: `N×3×h×w`, RGB on 0–255.

    Returns:
        `N×1×h×w` in [0, 2]: 0 where `z` has no edge; else 1 − cos of the angle between the two gradients
        where the guide has an edge, and 1 where it has none.
    """
    z_x, z_y = _gradients(z)
    g_x, g_y = _gradients(guide)
    # Not hypot: the square root of a sum of whole numbers is exact at the threshold.
    z_norm, g_norm = (z_x.square() + z_y.square()).sqrt(), (g_x.square() + g_y.square()).sqrt()
    cosine = (z_x * g_x + z_y * g_y + _EPSILON) / (z_norm * g_norm + _EPSILON)
    return (z_norm >= _EDGE) * torch.where(g_norm >= _EDGE, 1 - cosine, 1)


def _gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel gradients of the rounded gray image, zeros around it; the far border is 1, as released."""
    red, green, blue = (image / 255).split(1, dim=1)
    gray = (16 + 65.481 * red + 128.553 * green + 24.966 * blue).round().clamp(0, 255)
    padded = F.pad(gray, (1, 1, 1, 1))
    upright = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    across = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    x = upright[..., 2:] - upright[..., :-2]
    y = across[..., 2:, :] - across[..., :-2, :]
    x[..., -1] = 1
    y[..., -1, :] = 1
    return x, y


def _tokens(*columns: Tensor) -> Tensor:
    """`N×columns×N_p`, several → one attention head `N×1×N_p×32`, filled up with zeros."""
    # Padding also makes it contiguous: on other strides attention falls back to the N_p×N_p matrix.
    joined = torch.cat(columns, dim=1).transpose(1, 2)
    return F.pad(joined, (0, _HEAD - joined.shape[-1])).unsqueeze(1)


def _overlap(size: int, device: torch.device) -> Tensor:
    """How many windows of 3 cover each of `size` pixels along one axis."""
    index = torch.arange(size, device=device)
    return torch.minimum(index + 1, size - index).clamp(max=min(3, size - 2))


def _split(size: int) -> tuple[int, list[int]]:
    """Length and starts of the windows along one axis; all of it where two windows would not be shorter."""
    side = size // 2 + _OVERLAP
    return (side, [0, size - side]) if side < size else (size, [0])


def _join(windows: list[Tensor] | tuple[Tensor, ...], size: int, dim: int) -> Tensor:
    """The first half of the first window and, from the second one, the rest of the axis."""
    if len(windows) == 1:
        return windows[0]
    first, second = windows
    rest = size - size // 2
    return torch.cat([first.narrow(dim, 0, size // 2), second.narrow(dim, second.shape[dim] - rest, rest)], dim)
