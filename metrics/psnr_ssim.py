"""PSNR and SSIM between two 8-bit RGB images: one implementation for the whole project. More metrics: files of
their own beside it.

Papers differ in how they make Y and where they let the SSIM window go, so each figure of Y belongs to a
named `Convention`. Images are uint8, height x width x 3, RGB, as numpy arrays or torch tensors; a tensor is
measured on the device it lies on. What a network gave before it was rounded is `Unrounded`. Means are taken in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.errors import UserError


@dataclass(frozen=True)
class Unrounded:
    """What a network gave, neither rounded nor clamped: float32, height x width x 3, RGB on 0 to 255.

    A type of its own, so that floats on another range are never measured by mistake.
    """

    values: np.ndarray

    def rounded(self) -> np.ndarray:
        """The 8-bit image: rounded half up and clamped."""
        return np.clip(np.floor(self.values + np.float32(0.5)), 0, 255).astype(np.uint8)


Image = np.ndarray | Tensor | Unrounded

PEAK = 255.0
WINDOW = 11
SIGMA = 1.5
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
_HALF = WINDOW // 2
_STRIP = 24  # rows at a time: what a strip needs then stays in a core's cache; twice as fast as whole images


class MetricError(UserError):
    """Two images that cannot be compared, or a convention that does not exist."""


@dataclass(frozen=True)
class Convention:
    """How a paper's evaluation program makes Y and lays the SSIM window.

    Attributes:
        weights: of R, G and B in Y; the result is never rounded.
        offset: added to Y. PSNR does not see it, SSIM does.
        padded: False: the SSIM window stays inside the image; True: the image is continued symmetrically
            (edge pixels repeated), so that each pixel has a window.
    """

    weights: tuple[float, float, float]
    offset: float
    padded: bool


_BT601 = (65.481 / 255, 128.553 / 255, 24.966 / 255)
CONVENTIONS = {
    "matlab": Convention(_BT601, 16.0, padded=False),  # rgb2ycbcr and ssim_index.m: most SR papers
    "edsr": Convention((65.738 / 256, 129.057 / 256, 25.064 / 256), 0.0, padded=True),  # CISRNet's tables
    "cisr_psi": Convention(_BT601, 16 / 255, padded=False),  # as CISR-PSI's evaluator slipped
    "grey": Convention((0.0, 1.0, 0.0), 0.0, padded=False),  # images that are grey: Y is what they hold
}


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside, all again behind: for a function or a `with` block.

    Work on strips is many short operations: more threads gain little, and on a busy machine they wait for
    each other so long that an SSIM takes a hundred times its time.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def psnr_y(a: Image, b: Image, border: int, convention: str = "matlab") -> float:
    """PSNR in dB of the Y channels, `border` pixels shaved from each side; inf for equal images.

    Raises MetricError: sizes or types that cannot be compared, a border that leaves nothing, a convention
    that is not in `CONVENTIONS`.
    """
    how = known_convention(convention)
    return _psnr(*pair_of(a, b, border, smallest=1), lambda strip: luma(strip, how))


@one_thread()
def ssim_y(a: Image, b: Image, border: int, convention: str = "matlab") -> float:
    """SSIM (Wang et al. 2004) of the Y channels: 11x11 Gaussian window, sigma 1.5, K 0.01 and 0.03, L 255.

    `border` pixels are shaved from each side before the windows are laid. Raises MetricError as `psnr_y`
    does, and if the border leaves less than one window.
    """
    how = known_convention(convention)
    a, b = pair_of(a, b, border, smallest=WINDOW)
    if how.padded:
        a, b = _continued(a), _continued(b)
    height, width = a.shape[0] - 2 * _HALF, a.shape[1] - 2 * _HALF
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP + 2 * _HALF)
        total += _ssim_sum(luma(a[rows], how), luma(b[rows], how))
    return total.item() / (height * width)


def psnr_rgb(a: Image, b: Image, border: int = 0) -> float:
    """PSNR in dB over all three channels, as quality enhancement is measured; inf for equal images.

    Raises MetricError as `psnr_y` does.
    """
    # Differences and squares of 8-bit values are exact in float32.
    return _psnr(*pair_of(a, b, border, smallest=1), lambda strip: strip.to(torch.float32, copy=True))


@one_thread()
def ssim_rgb(a: Image, b: Image, border: int = 0) -> float:
    """Mean of the SSIM of the three channels, each as `ssim_y` takes it (window inside the image only).

    Of a grey image it is the SSIM of what the image holds. Raises MetricError as `ssim_y` does.
    """
    a, b = pair_of(a, b, border, smallest=WINDOW)
    height, width = a.shape[0] - 2 * _HALF, a.shape[1] - 2 * _HALF
    total = torch.zeros((), dtype=torch.float64, device=a.device)
    for top in range(0, height, _STRIP):
        rows = slice(top, top + _STRIP + 2 * _HALF)
        for channel in range(3):
            total += _ssim_sum(a[rows, :, channel].double(), b[rows, :, channel].double())
    return total.item() / (3 * height * width)


def known_convention(convention: str) -> Convention:
    """The convention of this name. Raises MetricError."""
    if convention not in CONVENTIONS:
        raise MetricError(f"convention {convention!r} is not known: choose from {', '.join(CONVENTIONS)}")
    return CONVENTIONS[convention]


def pair_of(a: Image, b: Image, border: int, smallest: int) -> tuple[Tensor, Tensor]:
    """Both images as tensors of one size, `border` pixels shaved from each side.

    Raises MetricError: neither 8-bit RGB nor `Unrounded`, sizes that differ, or less than `smallest` pixels left.
    """
    x, y = _tensor(a), _tensor(b)
    if x.shape != y.shape:
        raise MetricError(f"images of {_size(x)} and {_size(y)} pixels cannot be compared: crop one first")
    if border < 0:
        raise MetricError(f"border {border}: give 0 or more pixels")
    height, width = x.shape[0] - 2 * border, x.shape[1] - 2 * border
    if min(height, width) < smallest:
        raise MetricError(
            f"{_size(x)} pixels less a border of {border} leaves {max(width, 0)}x{max(height, 0)}, "
            f"and {smallest}x{smallest} is needed: use larger images or a smaller border"
        )
    inside = (slice(border, border + height), slice(border, border + width))
    return x[inside], y[inside]


def _tensor(image: Image) -> Tensor:
    if isinstance(image, Unrounded):
        return torch.from_numpy(np.require(image.values, np.float32, requirements=["C", "W"]))
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in (np.uint8, torch.uint8):
        raise MetricError(
            f"metrics take uint8 images of height x width x 3, not {image.dtype} of {tuple(image.shape)}: "
            "round, clamp and convert first"
        )
    # torch warns about arrays that are not writeable and refuses negative strides: np.require copies those.
    return image if isinstance(image, Tensor) else torch.from_numpy(np.require(image, requirements=["C", "W"]))


def _size(image: Tensor) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def luma(image: Tensor, convention: Convention) -> Tensor:
    """Y of (H, W, 3) on 0 to 255 as float64 (H, W), 0 to 255."""
    red, green, blue = convention.weights
    y = image[..., 0].double().mul_(red)
    return y.add_(image[..., 1], alpha=green).add_(image[..., 2], alpha=blue).add_(convention.offset)


@one_thread()
def _psnr(a: Tensor, b: Tensor, values: Callable[[Tensor], Tensor]) -> float:
    """PSNR of what `values` makes of (H, W, 3), a tensor that may be changed, strip by strip."""
    total, count = torch.zeros((), dtype=torch.float64, device=a.device), 0
    for top in range(0, a.shape[0], _STRIP):
        error = values(a[top : top + _STRIP]).sub_(values(b[top : top + _STRIP])).square_()
        total += error.sum(dtype=torch.float64)
        count += error.numel()
    return 10 * math.log10(PEAK**2 * count / total.item()) if total else math.inf


def _continued(image: Tensor) -> Tensor:
    """Five more pixels on each side, mirrored with the edge repeated (torch has no such padding)."""
    for dim in (0, 1):
        first, last = image.narrow(dim, 0, _HALF), image.narrow(dim, -_HALF, _HALF)
        image = torch.cat([first.flip(dim), image, last.flip(dim)], dim)
    return image


def _ssim_sum(x: Tensor, y: Tensor) -> Tensor:
    """Sum of the SSIM map of two float64 strips of (h + 10, w + 10) over its h x w windows.

    Four filtered maps do: the variances are needed only as their sum. In place, for the memory traffic.
    """
    mean_x, mean_y, squares, product = blurred(torch.stack([x, y, x * x + y * y, x * y]))
    means = (mean_x * mean_y).mul_(2)
    mean_squares = (mean_x * mean_x).add_(mean_y * mean_y)
    covariance = product.mul_(2).sub_(means).add_(C2)
    variance = squares.sub_(mean_squares).add_(C2)
    total: Tensor = covariance.mul_(means.add_(C1)).div_(variance).div_(mean_squares.add_(C1)).sum()
    return total


def blurred(maps: Tensor) -> Tensor:
    """The Gaussian window on (4, h + 10, w + 10), inside only: (4, h, w).

    A strip's few rows take one small matrix product; its many columns eleven shifted sums. Either is
    several times as fast as conv2d in float64.
    """
    height, width = maps.shape[1] - 2 * _HALF, maps.shape[2] - 2 * _HALF
    maps = _BAND[:height, : height + 2 * _HALF].to(maps.device) @ maps
    blurred = torch.zeros_like(maps[..., :width])
    for shift, weight in enumerate(_GAUSSIAN):
        blurred.add_(maps[..., shift : shift + width], alpha=weight)
    return blurred


def gaussian_window() -> list[float]:
    """SSIM's window along one axis: 11 weights that sum to 1."""
    bell = [math.exp(-(distance**2) / (2 * SIGMA**2)) for distance in range(-_HALF, _HALF + 1)]
    return [value / sum(bell) for value in bell]


_GAUSSIAN = gaussian_window()
_BAND = torch.zeros(_STRIP, _STRIP + 2 * _HALF, dtype=torch.float64)  # row i: the window from column i on
for _row in range(_STRIP):
    _BAND[_row, _row : _row + WINDOW] = torch.tensor(_GAUSSIAN, dtype=torch.float64)
