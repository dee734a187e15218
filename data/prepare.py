"""HR images to a prepared store: clean and compressed LR images as raw pixels, made once, on all cores.

    python -m data.prepare --options options/cisrnet/x2.yml
    python -m data.prepare --hr datasets/photos --store datasets/photos.prepared --scale 2 --compressions jpeg10 webp30

What is there already is not made again; a run that was killed goes on where it stopped and ends with the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from pydantic import BaseModel
from tqdm import tqdm

from data.codecs import parse
from data.lmdb_store import import_pair, pair_keys
from data.options import TrainDataOptions
from data.records import Kind, finish, is_prepared, missing, write_image
from data.resize import imresize, modcrop
from data.store import SourceImage, StoreError, leaf, source_images
from utils.cli import run
from utils.cores import usable_cores
from utils.errors import UserError
from utils.files import locked
from utils.images import image_size, read_image
from utils.options import OptionsError, apply_overrides, read_with_bases, validate


@dataclass(frozen=True)
class Task:
    """One HR image and the kinds of it that are still to be made: (scale, compression), scale 0 for HR."""

    image: SourceImage
    kinds: tuple[Kind, ...]
    store: Path


def prepare(
    images: list[SourceImage],
    store: Path,
    scale: int,
    specs: Iterable[str],
    *,
    jobs: int | None = None,
    progress: bool = True,
) -> list[str]:
    """Make all that is missing of HR, clean LR and compressed LR.

    Args:
        specs: compressions; `none` (the clean LR) and HR are always made.
        jobs: processes; None: one per core. 1 works in this process.

    Returns:
        One line per image that could not be prepared; its folders then have no manifest. Empty: all is there.

    Raises:
        StoreError: the store holds other images, or the disk is too small for what is missing.
    """
    kinds = [(0, "none"), *((scale, str(parse(spec))) for spec in dict.fromkeys(["none", *specs]))]
    if is_prepared(images, store, kinds):
        return []
    with locked(store / ".lock", wait=True):
        tasks = [Task(*todo, store) for todo in missing(images, store, kinds)]
        if tasks:
            _check_disk(tasks)
        failures = _work(tasks, jobs or usable_cores(), progress)
        for kind in kinds:
            finish(images, store, kind)
    return failures


def _check_disk(tasks: list[Task]) -> None:
    """Refuse before any work when the maps to be made do not fit on the disk."""
    needed = 0
    for task in tasks:
        try:
            height, width = image_size(task.image.path)
        except UserError:
            continue  # reported with the others when its turn comes
        needed += sum(3 * height * width // max(1, kind_scale) ** 2 for kind_scale, _ in task.kinds)
    free = shutil.disk_usage(tasks[0].store).free
    if needed > free:
        raise StoreError(
            f"{tasks[0].store}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; "
            "make room or name another folder (data.train.prepared)"
        )


# ------------------------------------------------------------------------------------------------- the work


def make(task: Task) -> str | None:
    """Make the kinds of one task; the line that says why not, where it fails."""
    try:
        path = task.image.path
        hr = read_image(path)
        source = {"source_bytes": path.stat().st_size, "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        clean: dict[int, np.ndarray] = {}
        for scale, spec in task.kinds:
            pixels, rate = hr, {}
            if scale:
                if scale not in clean:
                    if min(hr.shape[:2]) < scale:
                        raise UserError(f"{path}: {hr.shape[0]}×{hr.shape[1]} is too small for ×{scale}")
                    clean[scale] = imresize(modcrop(hr, scale), 1 / scale) if scale > 1 else hr
                pixels, rate = _compressed(clean[scale], spec)
            write_image(leaf(task.store, scale, spec), task.image.name, pixels, {**source, **rate})
    except (UserError, OSError, MemoryError) as error:
        return f"{task.image.path}: {error}" if str(task.image.path) not in str(error) else str(error)
    return None


def _compressed(clean: np.ndarray, spec: str) -> tuple[np.ndarray, dict[str, float]]:
    if spec == "none":
        return clean, {}
    codec = parse(spec)
    if min(clean.shape[:2]) >= codec.size_multiple:
        clean = modcrop(clean, codec.size_multiple)
    data = codec.encode(clean)
    pixels = codec.decode(data)
    rate = 8 * len(data) / (clean.shape[0] * clean.shape[1])
    return pixels, {"bits_per_pixel": round(rate, 6)}


def _work(tasks: list[Task], jobs: int, progress: bool) -> list[str]:
    bar = tqdm(total=len(tasks), desc="preparing", unit="image", disable=None if progress and tasks else True)
    failures = []
    with bar:
        for failure in _results(tasks, jobs):
            bar.update()
            if failure:
                failures.append(failure)
    return sorted(failures)


def _results(tasks: list[Task], jobs: int) -> Iterator[str | None]:
    if min(jobs, len(tasks)) <= 1:
        yield from map(make, tasks)
        return
    # spawn: fork would copy the locks of torch's and OpenCV's threads in whatever state they are.
    with ProcessPoolExecutor(min(jobs, len(tasks)), get_context("spawn"), _start_worker, (os.getpid(),)) as pool:
        try:
            for future in as_completed([pool.submit(make, task) for task in tasks]):
                yield future.result()
        except BrokenProcessPool:
            raise StoreError(
                "a preparing process was killed (out of memory?); what it had finished is kept: "
                "run again, with --jobs 1 if it happens again"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    import cv2

    cv2.setNumThreads(1)

    def leave_with_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # the parent was killed: nobody would collect the work

    threading.Thread(target=leave_with_parent, daemon=True).start()


def import_lmdb(gt: Path, lq: Path, store: Path, spec: str) -> int:
    """An LMDB pair of original and compressed images (scale 1) to the same store; returns the number of images.

    Args:
        spec: the compression that `lq` holds, `hevc37` say: the name of its folder in the store.

    Raises:
        LmdbError, StoreError: the pair does not fit together, is damaged, or the store holds other images.
    """
    kinds: list[Kind] = [(0, "none"), (1, str(parse(spec)))]
    images = [SourceImage(f"{key}.png", gt / "data.mdb") for key in pair_keys(gt, lq)]
    with locked(store / ".lock", wait=True):
        todo = {image.name: kinds_of_image for image, kinds_of_image in missing(images, store, kinds)}
        source = {"source_bytes": (gt / "data.mdb").stat().st_size, "source_sha256": None}
        for key, hr, lr in tqdm(import_pair(gt, lq) if todo else (), total=len(images), unit="image", disable=None):
            name = f"{key}.png"
            for scale, kind_spec in todo.get(name, ()):
                write_image(leaf(store, scale, kind_spec), name, lr if scale else hr, source)
        for kind in kinds:
            finish(images, store, kind, encoder="as found in an LMDB")
    return len(images)


# ---------------------------------------------------------------------------------------------- command line


class _Generator(BaseModel):
    scale: int


class _Data(BaseModel):
    train: TrainDataOptions


class _Wanted(BaseModel):
    """The part of a training options file that preparation needs; train.py checks the rest."""

    generator: _Generator
    data: _Data


def prepare_for(options: TrainDataOptions, scale: int, *, jobs: int | None = None, progress: bool = True) -> None:
    """Make what `options` need, where it is missing.

    Raises:
        StoreError: some images could not be prepared (all named), or see `prepare`.
    """
    if not options.folders:
        return  # the store stands for the images; the dataset says what it lacks
    specs = ["none"] if options.compress == "on_the_fly" else list(options.compressions)
    images = source_images(options.folders)
    failures = prepare(images, options.store, scale, specs, jobs=jobs, progress=progress)
    if failures:
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        raise StoreError(
            f"{len(failures)} of {len(images)} images could not be prepared, see above; mend or remove them"
        )


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m data.prepare", description=__doc__.split("\n")[0])
    parser.add_argument("--options", type=Path, help="a training options file; the rest of this line then overrides it")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of the options file")
    parser.add_argument("--hr", type=Path, nargs="+", help="folders of HR images (without --options)")
    parser.add_argument("--store", type=Path, help="folder of the store (without --options)")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--compressions", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, help="processes; default: one per core")
    parser.add_argument(
        "--from-lmdb",
        type=Path,
        nargs=2,
        metavar=("GT", "LQ"),
        help="turn an LMDB pair into --store; --compressions names the one that LQ holds",
    )
    arguments = parser.parse_intermixed_args(argv)
    if arguments.from_lmdb:
        if not arguments.store or len(arguments.compressions) != 1:
            raise OptionsError("--from-lmdb needs --store DIR and --compressions with the one that LQ holds")
        count = import_lmdb(*arguments.from_lmdb, arguments.store, arguments.compressions[0])
        print(f"{arguments.store}: {count} images, ×1, {arguments.compressions[0]}")
        return 0
    if arguments.options:
        data, origins = read_with_bases(arguments.options)
        apply_overrides(data, origins, arguments.overrides)
        wanted = validate(data, _Wanted, str(arguments.options), origins)
        options, scale = wanted.data.train, wanted.generator.scale
    else:
        if not arguments.hr or not arguments.store:
            raise OptionsError("give --options FILE, or --hr DIR … and --store DIR")
        values = {
            "hr": [str(folder) for folder in arguments.hr],
            "prepared": str(arguments.store),
            "compressions": arguments.compressions or ["none"],
        }
        options, scale = validate(values, TrainDataOptions, "command line"), arguments.scale
    prepare_for(options, scale, jobs=arguments.jobs)
    print(f"{options.store}: {len(source_images(options.folders))} images, ×{scale}, {', '.join(options.compressions)}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
