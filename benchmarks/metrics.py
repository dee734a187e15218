"""Time PSNR and SSIM against scikit-image's at the same windows: `python -m benchmarks.metrics`.

Pairs of 768x512 (Kodak's size) out of scikit-image's photographs, the second of each with JPEG noise; one
thread each; the two programs take turns, and medians are compared. Ours always starts from 8-bit RGB; for the
rows "Y ready" scikit-image is given Y in float64 and need not make it.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from skimage import data
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from metrics.psnr_ssim import CONVENTIONS, psnr_rgb, psnr_y, ssim_y

HEIGHT, WIDTH = 512, 768
WINDOW = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
Pair = Sequence[np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each pair is measured (default 5)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    pairs = photographs()
    matlab: list[Pair] = [[luma(image, "matlab") for image in pair] for pair in pairs]
    edsr: list[Pair] = [[luma(image, "edsr") for image in pair] for pair in pairs]
    print(f"{len(pairs)} pairs of {WIDTH}x{HEIGHT}, {rounds} rounds, one thread, medians in ms")
    print(f"{'':28}{'ours':>8}{'scikit-image':>14}{'ratio':>8}{'deviation':>11}")
    for name, ours, its, inputs in (
        ("SSIM, matlab, Y ready", lambda a, b: ssim_y(a, b, 0), skimage_ssim, matlab),
        ("SSIM, edsr, Y ready", lambda a, b: ssim_y(a, b, 0, "edsr"), skimage_ssim_padded, edsr),
        ("PSNR of Y, matlab", lambda a, b: psnr_y(a, b, 0), skimage_psnr_of_y, pairs),
        ("PSNR of RGB", psnr_rgb, skimage_psnr, pairs),
    ):
        spent, its_spent, deviation = race(ours, its, pairs, inputs, rounds)
        print(
            f"{name:28}{spent * 1e3:8.1f}{its_spent * 1e3:14.1f}{its_spent / spent:8.2f}{deviation:11.0e}",
            flush=True,
        )


def race(
    ours: Callable, its: Callable, pairs: list[Pair], its_pairs: list[Pair], rounds: int
) -> tuple[float, float, float]:
    """Return the median seconds of both, called in turn, and the largest difference of their values."""
    seconds: tuple[list[float], list[float]] = ([], [])
    deviation = 0.0
    for _ in range(rounds):
        for pair, its_pair in zip(pairs, its_pairs, strict=True):
            values = []
            for program, inputs, spent in ((ours, pair, seconds[0]), (its, its_pair, seconds[1])):
                start = time.perf_counter()
                values.append(program(*inputs))
                spent.append(time.perf_counter() - start)
            deviation = max(deviation, abs(values[0] - values[1]))
    return statistics.median(seconds[0]), statistics.median(seconds[1]), deviation


def photographs() -> list[Pair]:
    """Return pairs of uint8 HWC RGB: photographs mirrored or cropped to size, and what JPEG left of them."""
    pairs: list[Pair] = []
    for photo, quality in (
        (data.astronaut(), 10),
        (data.coffee(), 20),
        (data.chelsea(), 30),
        (data.rocket(), 40),
    ):
        missing = [(0, max(size - have, 0)) for size, have in zip((HEIGHT, WIDTH), photo.shape[:2])]
        image = np.ascontiguousarray(np.pad(photo, [*missing, (0, 0)], mode="symmetric")[:HEIGHT, :WIDTH])
        # cv2 takes the channels for BGR; as noise of a metric's pair that is as good.
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None
        pairs.append((image, decoded))
    return pairs


def luma(image: np.ndarray, convention: str) -> np.ndarray:
    return image @ np.array(CONVENTIONS[convention].weights) + CONVENTIONS[convention].offset


def skimage_ssim(a: np.ndarray, b: np.ndarray) -> float:
    return structural_similarity(a, b, **WINDOW)  # the mean leaves out windows that reach over the border


def skimage_ssim_padded(a: np.ndarray, b: np.ndarray) -> float:
    return structural_similarity(a, b, full=True, **WINDOW)[1].mean()


def skimage_psnr_of_y(a: np.ndarray, b: np.ndarray) -> float:
    return peak_signal_noise_ratio(rgb2ycbcr(a)[..., 0], rgb2ycbcr(b)[..., 0], data_range=255)


def skimage_psnr(a: np.ndarray, b: np.ndarray) -> float:
    return peak_signal_noise_ratio(a, b, data_range=255)


if __name__ == "__main__":
    main()
