"""HR images to a prepared store: clean and compressed LR images as raw pixels, made once, on all cores.

What is there already is not made again. A run that was killed continues where it stopped and produces the same bytes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tqdm import tqdm

from data.codecs import parse
from data.image_sets import image_sets
from data.options import TrainDataOptions
from data.pairs.checks import check_sizes, shifts_in_store, shortened
from data.prepare.workers import made_by
from data.store import AS_IS, SourceImage, StoreError, leaf, read_manifest
from data.store.image_maps import Task
from data.store.stamps import Stamps
from data.store.writer import Kind, MapCheck, Preparation, folder_stamps, writing_to
from utils.cli import one_line
from utils.cores import usable_cores
from utils.errors import UserError
from utils.files import locked, size_text
from utils.images import image_size
from utils.visible import visible


def prepare(
    images: list[SourceImage],
    store: Path,
    scale: int,
    specs: Iterable[str],
    *,
    jobs: int | None = None,
    progress: bool = True,
    verify: bool = False,
) -> list[str]:
    """Make all that is missing of HR, clean LR and compressed LR.

    Args:
        specs: compressions; `none` (the clean LR) and HR are always made. `AS_IS` alone: of pairs of files.
        jobs: processes; None: one per core. 1 works in this process.
        verify: read all images and maps and compare their checksums, also of those that look as they did.

    Returns:
        One line per image that could not be prepared; its folders then have no manifest. Empty: all is there.

    Raises:
        StoreError: the store holds other images, or the disk is too small for what is missing.
    """
    kinds = kinds_of(scale, specs)
    before = folder_stamps(store, kinds)
    work = _look(images, store, kinds, verify)
    if work.is_whole:
        if work.stamps.changed:
            with suppress(UserError), locked(store / ".lock", wait=False):
                work.stamps.save()
        return []
    with locked(store / ".lock", wait=True), writing_to(store):
        if folder_stamps(store, kinds) != before:  # another process has prepared them, or some of them, meanwhile
            work = _look(images, store, kinds, verify)
        for path in work.damaged if progress else ():
            print(f"{visible(path)}: missing, cut short or altered; made again", file=sys.stderr)
        tasks = [Task(*todo, store, scale) for todo in work.todo]
        misfits, cropped = check_sizes([task.image for task in tasks], scale)
        if misfits:
            return misfits
        for line in shortened(cropped) if progress else ():
            print(visible(line), file=sys.stderr)
        if tasks:
            _check_disk(tasks)
        work.begin()
        failures = _work(tasks, work, jobs or usable_cores(), progress)
        work.finish()
    return failures


def _look(images: list[SourceImage], store: Path, kinds: list[Kind], verify: bool = False) -> Preparation:
    stamps = Stamps(store)
    return Preparation(
        images, store, kinds, stamps, lambda image: stamps.source_digest(image, read=verify), verify=verify
    )


def is_prepared(images: list[SourceImage], store: Path, scale: int, specs: Iterable[str]) -> bool:
    """Whether `prepare` would find nothing to do. Raises StoreError as it does."""
    return _look(images, store, kinds_of(scale, specs)).is_whole


def kinds_of(scale: int, specs: Iterable[str]) -> list[Kind]:
    """HR, and the LR images that stand for these compressions; clean LR images always, but where LR is `AS_IS`."""
    specs = list(specs)
    if specs == [AS_IS]:
        return [(0, "none"), (scale, AS_IS)]
    return [(0, "none"), *((scale, str(parse(spec))) for spec in dict.fromkeys(["none", *specs]))]


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
            f"{tasks[0].store}: {size_text(needed)} are needed and {size_text(free)} are free; "
            "make room or name another folder (data.train.prepared)"
        )


def _work(tasks: list[Task], work: Preparation, jobs: int, progress: bool) -> list[str]:
    bar = tqdm(total=len(tasks), desc="preparing", unit="image", disable=None if progress and tasks else True)
    failures = []
    with bar:
        for made in made_by(tasks, jobs):
            bar.update()
            for kind, record in made.records.items():
                work.note(kind, made.image.name, record)
            if made.records:
                for seen in made.seen:
                    work.stamps.note_source(*seen)
            if made.failure:
                failures.append(made.failure)
    return sorted(failures)


def prepare_for(
    options: TrainDataOptions, scale: int, *, jobs: int | None = None, progress: bool = True, verify: bool = False
) -> None:
    """Make what `options` need, where it is missing or not sound; say which pairs are shifted.

    Raises:
        StoreError: some images could not be prepared (all named), or see `prepare`.
    """
    for found in image_sets(options):
        if not found.images:
            check_store(found.store, scale, found.specs, verify=verify)
            continue
        images = list(found.images)
        failures = prepare(images, found.store, scale, found.specs, jobs=jobs, progress=progress, verify=verify)
        if failures:
            for failure in failures:
                print(f"failed: {one_line(failure)}", file=sys.stderr)
            raise StoreError(
                f"{len(failures)} of {len(images)} images could not be prepared, see above; mend or remove them"
            )
        if found.is_paired and progress:
            for line in shortened(shifts_in_store(images, found.store, scale)):
                print(f"warning: {line}", file=sys.stderr)


def check_store(store: Path, scale: int, specs: Iterable[str], *, verify: bool = False) -> None:
    """Look at the maps of a store that stands for its images.

    Raises:
        StoreError: a folder or a map that is missing, or a map that was cut short or altered.
    """
    check = MapCheck(store, Stamps(store), verify=verify)
    for kind in [(0, "none"), *((scale, str(parse(spec))) for spec in specs)]:
        folder = leaf(store, *kind)
        manifest = read_manifest(folder)
        if manifest is None:
            raise StoreError(f"{folder}: no prepared images; name the HR folder under data.train.hr")
        for name, record in manifest["images"].items():
            check.is_sound(folder, name, record)
    check.stamps.save()
    if check.damaged:
        raise StoreError(
            f"{check.damaged[0]}: missing, cut short or altered ({len(check.damaged)} maps are); get the store from "
            "where it came, or name the HR folder under data.train.hr to make them again"
        )
