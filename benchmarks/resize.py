"""Time `imresize` beside a plain float64 implementation, on one thread: `python -m benchmarks.resize`.

The plain one does the same in the obvious way: all taps of an axis gathered, weighted and added up at once. The
two take turns, the medians are compared, and their results must be equal.
"""

import argparse
import statistics
import time

import cv2
import numpy as np
from skimage.data import astronaut

from data.resize import imresize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--height", type=int, default=1356, help="default 1356")
    parser.add_argument("--width", type=int, default=2040, help="default 2040")
    parser.add_argument("--factors", type=int, nargs="+", default=[2, 3, 4], help="1/scale, default 2 3 4")
    parser.add_argument("--rounds", type=int, default=7, help="how often each is timed (default 7)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    # A photograph and noise: about as many different values as a camera gives.
    image = cv2.resize(astronaut(), (arguments.width, arguments.height), interpolation=cv2.INTER_CUBIC)
    image = cv2.add(image, np.random.default_rng(0).integers(0, 16, image.shape, dtype=np.uint8))
    print(f"{arguments.width}x{arguments.height} RGB, {arguments.rounds} rounds, one thread, medians in ms")
    print(f"{'scale':8}{'imresize':>10}{'plain':>10}{'ratio':>8}{'different':>11}")
    for factor in arguments.factors:
        ours, plain = [], []
        for _ in range(arguments.rounds):
            ours.append(timed(imresize, image, 1 / factor))
            plain.append(timed(plain_imresize, image, 1 / factor))
        different = int((ours[0][1] != plain[0][1]).sum())
        ours_time, plain_time = (statistics.median(t for t, _ in each) * 1e3 for each in (ours, plain))
        print(
            f"1/{factor:<6}{ours_time:10.1f}{plain_time:10.1f}{plain_time / ours_time:8.2f}{different:11}",
            flush=True,
        )


def timed(function, image: np.ndarray, scale: float) -> tuple[float, np.ndarray]:
    """Return the seconds a call took, and its result."""
    start = time.perf_counter()
    result = function(image, scale)
    return time.perf_counter() - start, result


def plain_imresize(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize uint8 HWC as MATLAB does, axis by axis, without a thought for speed. `scale` is at most 1."""
    for axis in (0, 1):
        samples = np.moveaxis(image, axis, 0).astype(np.float64)
        length = len(samples)
        centre = (np.arange(np.ceil(length * scale)) + 0.5) / scale - 0.5
        reach = int(np.ceil(2 / scale))
        taps = np.floor(centre).astype(int)[:, None] + np.arange(-reach, reach + 1)
        weights = cubic(scale * (centre[:, None] - taps))
        weights /= weights.sum(axis=1, keepdims=True)
        taps = np.pad(np.arange(length), length, mode="symmetric")[taps + length]
        result = (weights[:, :, None, None] * samples[taps]).sum(axis=1)
        image = np.moveaxis(np.clip(np.floor(result + 0.5), 0, 255), 0, axis).astype(np.uint8)
    return image


def cubic(x: np.ndarray) -> np.ndarray:
    x = abs(x)
    inner = 1.5 * x**3 - 2.5 * x**2 + 1
    return np.where(x <= 1, inner, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))


if __name__ == "__main__":
    main()
