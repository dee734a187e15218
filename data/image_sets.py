"""The images that a training draws from: one set that is compressed here, and one for each pair of folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from data.codecs import parse
from data.options import TrainDataOptions
from data.pairs import file_pairs
from data.store import AS_IS, SourceImage, StoreError, distinct_names, leaf, read_manifest, source_images


@dataclass(frozen=True)
class ImageSet:
    """Images of one origin.

    Attributes:
        title: what stands before the names of its images; empty: nothing does.
        store: where their maps lie.
        images: none where the store stands for them.
        names: of the images in the store.
        specs: the kinds of LR images that are wanted.
        weight: share of the patches, of all sets' weights together.
    """

    title: str
    store: Path
    images: tuple[SourceImage, ...]
    names: tuple[str, ...]
    specs: tuple[str, ...]
    weight: float

    @property
    def is_paired(self) -> bool:
        """Whether the LR images are files of another program's."""
        return self.specs == (AS_IS,)


def image_sets(options: TrainDataOptions) -> list[ImageSet]:
    """The sets of a training, that of `hr` first; names alone are read.

    Raises:
        StoreError, ImageError: folders or a store that are missing or empty.
        PairError: files of a pair of folders that have no partner.
    """
    sets = [_compressed_here(options)] if options.compressions else []
    titles = distinct_names([pair.lr for pair in options.pairs]) if options.pairs else []
    for position, (pair, title) in enumerate(zip(options.pairs, titles)):
        found = file_pairs(pair.lr, pair.hr, f"data.train.pairs.{position}")
        images = tuple(SourceImage(files.lr.name, files.hr, files.lr) for files in found)
        sets.append(_set(title, options.store / "pairs" / title, images, (AS_IS,), pair.weight))
    return sets


def _compressed_here(options: TrainDataOptions) -> ImageSet:
    specs = ("none",) if options.compress == "on_the_fly" else tuple(str(parse(spec)) for spec in options.compressions)
    if options.folders:
        return _set("", options.store, tuple(source_images(options.folders)), specs, options.weight)
    folder = leaf(options.store, 0, "none")
    manifest = read_manifest(folder)
    if not manifest or not manifest["images"]:
        raise StoreError(f"{folder}: no prepared images; name the HR folder under data.train.hr")
    names = tuple(sorted(manifest["images"]))
    return ImageSet("", options.store, (), names, specs, options.weight or float(len(names)))


def _set(
    title: str, store: Path, images: tuple[SourceImage, ...], specs: tuple[str, ...], weight: float | None
) -> ImageSet:
    names = tuple(image.name for image in images)
    return ImageSet(title, store, images, names, specs, weight or float(len(names)))
