"""Training patches out of a prepared store, drawn by sample number."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from data.codecs import Codec, parse
from data.jpeg_files.quantisation import UNKNOWN, Steps, steps_of
from data.options import TrainDataOptions
from data.resize import imresize
from data.sampling import IterationSampler, image_of_sample, sample_generator
from data.store import StoreError, leaf, map_path, open_map, read_manifest, source_images
from utils.cores import usable_cores

BLOCK = 16  # pixels: the largest period of a codec's block grid met here (JPEG 4:2:0, WebP macroblocks)

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Sample:
    """One training pair, uint8 RGB views, the steps that the network is told, and where the pair comes from."""

    lr: np.ndarray
    hr: np.ndarray
    steps: Steps
    image: str
    compression: str


class PatchDataset(Dataset[Batch]):
    """LR and HR patches of a prepared store; sample k is a pure function of (seed, k).

    `dataset[k]` → `{"lr": p×p×3, "hr": (p·scale)×(p·scale)×3}`, uint8 RGB; `__getitems__` stacks a batch in front.
    With `clean_lr`, also `"clean_lr"`: p×p×3 uint8, MATLAB's bicubic of the HR patch, halves rounded to even.
    With `steps`, also `"steps"`: float32 [luma, chroma], the mean quantisation steps of the patch's JPEG, 0 where they
    are not known (another codec) or hidden (`options.hide_steps`).

    Raises:
        StoreError: the store is not whole, or an image is smaller than a patch (named).
        ImageError: the HR folder is missing or empty.
    """

    def __init__(
        self, options: TrainDataOptions, scale: int, seed: int, *, clean_lr: bool = False, steps: bool = False
    ):
        self.options, self.scale, self.seed, self.clean_lr, self.steps = options, scale, seed, clean_lr, steps
        self.codecs = [parse(spec) for spec in options.compressions]
        self.on_the_fly = options.compress == "on_the_fly"
        specs = ["none"] if self.on_the_fly else [str(codec) for codec in self.codecs]
        self.hr_folder = leaf(options.store, 0, "none")
        self.lr_folders = [leaf(options.store, scale, spec) for spec in specs]
        names = image_names(options)
        sizes = self._whole(names)
        side = options.patch_size
        for name in names:
            if min(sizes[name]) < side:
                height, width = sizes[name]
                raise StoreError(
                    f"{name}: its LR image at ×{scale} is {height}×{width}, smaller than a patch of {side}; "
                    "remove the image or lower data.train.patch_size"
                )
        self.names = names
        self.sizes = [sizes[name] for name in names]
        self._maps: dict[Path, np.ndarray] = {}  # opened when first read, by each process for itself

    def _whole(self, names: list[str]) -> dict[str, tuple[int, int]]:
        """LR sizes by name: the smallest over the compressions (HEVC's are cropped to multiples of 8)."""
        sizes: dict[str, tuple[int, int]] = {}
        for folder in [self.hr_folder, *self.lr_folders]:
            manifest = read_manifest(folder)
            if manifest is None or any(name not in manifest["images"] for name in names):
                raise StoreError(
                    f"{folder}: not prepared for these images; run `python -m data.prepare` (docs/data.md)"
                )
            if folder is self.hr_folder:
                continue
            for name in names:
                entry = manifest["images"][name]
                height, width = sizes.get(name, (entry["height"], entry["width"]))
                sizes[name] = (min(height, entry["height"]), min(width, entry["width"]))
        return sizes

    def __getitem__(self, k: int) -> Batch:
        return {name: tensor[0] for name, tensor in self.__getitems__([k]).items()}

    def __getitems__(self, ks: list[int]) -> Batch:
        side = self.options.patch_size
        lr = np.empty((len(ks), side, side, 3), np.uint8)
        hr = np.empty((len(ks), side * self.scale, side * self.scale, 3), np.uint8)
        steps = np.empty((len(ks), 2), np.float32)
        for place, k in enumerate(ks):
            sample = self.sample(k)
            lr[place], hr[place], steps[place] = sample.lr, sample.hr, sample.steps
        batch = {"lr": torch.from_numpy(lr), "hr": torch.from_numpy(hr)}
        if self.steps:
            batch["steps"] = torch.from_numpy(steps)
        if self.clean_lr:
            clean = np.stack([imresize(patch, 1 / self.scale, "to even") for patch in hr])
            batch["clean_lr"] = torch.from_numpy(clean)
        return batch

    def sample(self, k: int) -> Sample:
        """Sample k as it is drawn, with where it comes from."""
        image = image_of_sample(self.seed, k, len(self.names))
        height, width = self.sizes[image]
        side, scale = self.options.patch_size, self.scale
        rng = sample_generator(self.seed, k)
        u = rng.random(6)  # one call: the draws of a sample cost more than its copies
        choice, top, left = (int(x * n) for x, n in zip(u, (len(self.codecs), height - side + 1, width - side + 1)))
        grey = self.options.grey > 0 and rng.random() < self.options.grey
        hidden = self.options.hide_steps > 0 and rng.random() < self.options.hide_steps
        codec = self.codecs[choice].draw(rng)
        if self.on_the_fly:
            lr = self._compressed_region(image, top, left, codec, rng, grey=grey)
        else:
            lr = self._map(self.lr_folders[choice], image)[top : top + side, left : left + side]
        top, left, side = top * scale, left * scale, side * scale
        hr = self._map(self.hr_folder, image)[top : top + side, left : left + side]
        if grey:
            hr = _grey(hr)
        if self.options.flip and u[3] < 0.5:
            lr, hr = lr[:, ::-1], hr[:, ::-1]
        if self.options.flip and u[4] < 0.5:
            lr, hr = lr[::-1], hr[::-1]
        if self.options.rotate and u[5] < 0.5:
            lr, hr = lr.swapaxes(0, 1), hr.swapaxes(0, 1)
        return Sample(lr, hr, UNKNOWN if hidden or not self.steps else steps_of(codec), self.names[image], str(codec))

    def _compressed_region(
        self, image: int, top: int, left: int, codec: Codec, rng: np.random.Generator, *, grey: bool
    ) -> np.ndarray:
        """The patch out of a compressed region that starts up to a block before it and ends up to a block after."""
        clean = self._map(self.lr_folders[0], image)
        side = self.options.patch_size
        before = rng.integers(0, BLOCK, size=2)
        y, x = max(0, top - int(before[0])), max(0, left - int(before[1]))
        # Whole blocks beyond the patch too, as inside an image; at its right and bottom edge the region just ends.
        bottom = y + -(-(top + side - y) // BLOCK) * BLOCK
        right = x + -(-(left + side - x) // BLOCK) * BLOCK
        region = np.ascontiguousarray(clean[y:bottom, x:right])
        region = codec.compress(_grey(region) if grey else region)
        return region[top - y : top - y + side, left - x : left - x + side]

    def _map(self, folder: Path, image: int) -> np.ndarray:
        path = map_path(folder, self.names[image])
        pixels = self._maps.get(path)
        if pixels is None:
            pixels = self._maps[path] = open_map(path)
        return pixels


def _grey(image: np.ndarray) -> np.ndarray:
    """The JPEG luma of an uint8 h×w×3 image, in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def image_names(options: TrainDataOptions) -> list[str]:
    """The names of the training images in the store: those of the HR folders, or all that the store holds.

    Raises:
        StoreError, ImageError: the folders or the store are missing or empty.
    """
    if options.folders:
        return [image.name for image in source_images(options.folders)]
    folder = leaf(options.store, 0, "none")
    manifest = read_manifest(folder)
    if not manifest or not manifest["images"]:
        raise StoreError(f"{folder}: no prepared images; name the HR folder under data.train.hr")
    return sorted(manifest["images"])


def training_loader(dataset: PatchDataset, sampler: IterationSampler, *, pin_memory: bool) -> DataLoader[Batch]:
    """Batches in the sampler's order. Workers hold no state: any number gives the same stream."""
    workers = dataset.options.workers
    if workers is None:
        workers = max(1, min(4, usable_cores() - 1))
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_as_drawn,  # type: ignore[arg-type]  # `__getitems__` gives a batch, where torch expects a list
        pin_memory=pin_memory,
        worker_init_fn=_start_worker if workers else None,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # its own: a loader draws a seed when it starts, also at every resume
    )


def _as_drawn(batch: Batch) -> Batch:
    """The batch, which `__getitems__` has stacked already; out of a worker by shared memory.

    torch would share it in a thread of the worker, where an error (a small /dev/shm) is printed and the batch is lost:
    the training would wait for it for ever.
    """
    if get_worker_info() is not None:
        for tensor in batch.values():
            tensor.share_memory_()
    return batch


@atexit.register
def _end_workers() -> None:
    """End loader processes that an error has left: at exit Python tells each once, which is not enough for ours."""
    left = [process for process in multiprocessing.active_children() if process.daemon]
    if left:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would take their end for a fault
    for process in left:
        process.kill()


def _start_worker(_number: int) -> None:
    # Ctrl-C, and a scheduler's SIGTERM, reach the whole process group. The training process decides what they mean, and
    # needs its batches to finish the iteration; a worker leaves when it is told to, or at a second SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
