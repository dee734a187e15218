"""Training patches out of a prepared store, drawn by sample number."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from data.image_sets import image_sets
from data.jpeg_files.quantisation import UNKNOWN, Steps
from data.options import TrainDataOptions
from data.patch_sources import patch_source
from data.resize import imresize
from data.sampling import IterationSampler, image_of_sample, sample_generator, set_of_sample
from utils.cores import usable_cores

Batch = dict[str, torch.Tensor]


class Sample(NamedTuple):  # thousands are made a second
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
        ImageError: an HR folder is missing or empty.
        PairError: see `data.image_sets.image_sets`.
    """

    def __init__(
        self, options: TrainDataOptions, scale: int, seed: int, *, clean_lr: bool = False, steps: bool = False
    ):
        self.options, self.scale, self.seed, self.clean_lr, self.steps = options, scale, seed, clean_lr, steps
        self.sources = [patch_source(images, options, scale) for images in image_sets(options)]
        self._weights = [source.weight for source in self.sources]

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
        place, count = set_of_sample(k, self._weights)
        source = self.sources[place]
        image = image_of_sample(self.seed, count, len(source.names))
        rng = sample_generator(self.seed, k)
        u = rng.random(6)  # one call: the draws of a sample cost more than its copies
        grey = self.options.grey > 0 and rng.random() < self.options.grey
        hidden = self.options.hide_steps > 0 and rng.random() < self.options.hide_steps
        cut = source.cut(image, u[:3], rng, grey=grey)
        lr, hr = cut.lr, cut.hr
        if self.options.flip and u[3] < 0.5:
            lr, hr = lr[:, ::-1], hr[:, ::-1]
        if self.options.flip and u[4] < 0.5:
            lr, hr = lr[::-1], hr[::-1]
        if self.options.rotate and u[5] < 0.5:
            lr, hr = lr.swapaxes(0, 1), hr.swapaxes(0, 1)
        name = f"{source.title}/{source.names[image]}" if source.title else source.names[image]
        return Sample(lr, hr, UNKNOWN if hidden or not self.steps else cut.steps, name, cut.compression)


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
def end_workers() -> None:
    """Kill the loader processes that are left: one that hangs, and at exit those that an error has left.

    Python would tell each once to leave, which is not enough for ours.
    """
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
