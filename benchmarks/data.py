"""Training pairs per second: memory maps against decoding a PNG for each patch, in one run.

    python benchmarks/data.py --hr datasets/photos [--store FOLDER] [--seconds 5]

One loader process, ×2, LR 48×48 and HR 96×96, flips and rotations, the JPEG/WebP mixture of CISR-PSI. The rounds of the
three loaders alternate, and medians are printed. Then, per codec, megapixels per second of preparation in one process.
Needs the PNG files that it compares with: they are written beside the store first.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from data.codecs import parse  # noqa: E402
from data.datasets import PatchDataset, training_loader  # noqa: E402
from data.options import TrainDataOptions  # noqa: E402
from data.prepare import prepare_for  # noqa: E402
from data.resize import imresize, modcrop  # noqa: E402
from data.sampling import IterationSampler, image_of_sample, sample_generator  # noqa: E402
from data.store import leaf, map_path, open_map  # noqa: E402
from utils.images import read_image, write_png  # noqa: E402
from utils.options import validate  # noqa: E402

MIXTURE = [*(f"jpeg{q}" for q in (10, 20, 30, 40, 50)), *(f"webp{q}" for q in (5, 10, 20, 30, 40))]
CODECS = ["jpeg10", "webp20", "avif30", "hevc37"]
BATCH, SIDE, SCALE = 16, 48, 2


class PngPatches(torch.utils.data.Dataset):
    """The field's way, over the same samples: both PNG files of a pair are decoded whole, then cropped."""

    def __init__(self, ours: PatchDataset, folder: Path):
        self.ours, self.folder = ours, folder

    def __getitems__(self, ks: list[int]) -> dict[str, torch.Tensor]:
        pairs = [self._draw(k) for k in ks]
        return {"lr": torch.stack([lr for lr, _ in pairs]), "hr": torch.stack([hr for _, hr in pairs])}

    def _draw(self, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        names = self.ours.sources[0].names
        name = names[image_of_sample(0, k, len(names))]
        u = sample_generator(0, k).random(3)
        lr = cv2.imread(str(self.folder / MIXTURE[int(u[0] * len(MIXTURE))] / f"{name}.png"))
        hr = cv2.imread(str(self.folder / "hr" / f"{name}.png"))
        assert lr is not None and hr is not None
        y, x = (int(v * (n - SIDE + 1)) for v, n in zip(u[1:], lr.shape))
        lr, hr = lr[y : y + SIDE, x : x + SIDE], hr[y * 2 : (y + SIDE) * 2, x * 2 : (x + SIDE) * 2]
        small, large = (torch.from_numpy(np.ascontiguousarray(image[::-1, ::-1])) for image in (lr, hr))
        return small, large


def dataset(hr: Path, store: Path, **more: Any) -> PatchDataset:
    """Our data set over `hr`, prepared where it is not yet."""
    values = {"hr": str(hr), "prepared": str(store), "patch_size": SIDE, "workers": 1, **more}
    options = validate(values, TrainDataOptions, "benchmark")
    prepare_for(options, SCALE)
    return PatchDataset(options, SCALE, 0)


def pairs_per_second(make_loader: Callable, seconds: float) -> float:
    """Rate of one loader process, after its first batches."""
    loader = iter(make_loader())
    for _ in range(8):
        next(loader)
    count, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        next(loader)
        count += BATCH
    del loader
    return count / spent


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hr", type=Path, required=True, help="folder of HR images, about a megapixel each")
    parser.add_argument("--store", type=Path, help="default: a temporary folder")
    parser.add_argument("--seconds", type=float, default=5, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(f"limit of open files: {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        store = arguments.store or Path(temporary) / "store"
        maps = dataset(arguments.hr, store, compressions=MIXTURE)
        fly = dataset(arguments.hr, store, compressions=["jpeg10..50"], compress="on_the_fly")
        png = PngPatches(maps, store / "png")
        write_pngs(maps, store)

        def loader(patches: torch.utils.data.Dataset) -> Callable:
            sampler = IterationSampler(0, 10**9, BATCH)
            if isinstance(patches, PatchDataset):
                return lambda: training_loader(patches, sampler, pin_memory=False)
            return lambda: torch.utils.data.DataLoader(
                patches, batch_sampler=sampler, num_workers=1, collate_fn=lambda batch: batch, prefetch_factor=4
            )

        loaders = {"maps": loader(maps), "on the fly, JPEG": loader(fly), "decoding PNG": loader(png)}
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        for _ in range(arguments.rounds):
            for name, make in loaders.items():
                rates[name].append(pairs_per_second(make, arguments.seconds))
        slowest = statistics.median(rates["decoding PNG"])
        for name, measured in rates.items():
            rate = statistics.median(measured)
            print(f"{name:18} {rate:9.0f} pairs/s  {rate / slowest:7.1f} × decoding PNG")
    photo = read_image(sorted(arguments.hr.iterdir())[0])
    clean = imresize(modcrop(photo, SCALE), 1 / SCALE)
    for spec in CODECS:
        codec = parse(spec)
        started, runs = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < arguments.seconds / 5:
            codec.decode(codec.encode(clean))
            runs += 1
        rate = runs * clean.shape[0] * clean.shape[1] / spent / 1e6
        print(f"prepare {spec:10} {rate:9.2f} LR megapixels/s, one process")
    return 0


def write_pngs(maps: PatchDataset, store: Path) -> None:
    """What the comparison decodes: HR and every compressed LR image as PNG."""
    for spec in ["hr", *MIXTURE]:
        folder = leaf(store, 0 if spec == "hr" else SCALE, spec)
        for name in maps.sources[0].names:
            target = store / "png" / spec / f"{name}.png"
            if not target.exists():
                write_png(target, open_map(map_path(folder, name)))


if __name__ == "__main__":
    sys.exit(main())
