"""What of a prepared store is there and sound: manifests of whole folders, and what a killed preparation has left.

    manifest.json            the folder is whole: a record of each image, with checksums of its HR file and of its map
    manifest.partial.json    while some of its images are made: the records of the others
    records.jsonl            a line for each image made since, appended once its map is there

A killed preparation leaves the last two, and the next one goes on from them.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data.codecs import parse
from data.store import AS_IS, SourceImage, StoreError, leaf, manifest_bytes, map_path, read_manifest
from data.store.stamps import Stamp, Stamps, digest_of, stamp_of
from utils.files import remove_temporaries, sha256_of, write_atomically

Kind = tuple[int, str]
"""Scale and compression of a folder; scale 0: HR."""
Record = dict[str, Any]
"""Of one image in one folder: height, width, map_bytes, map_sha256, source_bytes, source_sha256, bits_per_pixel."""

_PARTIAL, _JOURNAL = "manifest.partial.json", "records.jsonl"


class MapCheck:
    """Looks whether maps are what their records say: their size, and their checksum.

    The checksum is compared where a map does not look as it did when that was last done, or with `verify`.
    """

    def __init__(self, store: Path, stamps: Stamps, *, verify: bool):
        self.store, self.stamps, self.verify = store, stamps, verify
        self.damaged: list[Path] = []
        # Where nothing can be noted, everything would be read again at each start: there, sizes have to do.
        self._sizes_alone = not verify and store.is_dir() and not os.access(store, os.W_OK)

    def is_sound(self, folder: Path, name: str, record: Record) -> bool:
        """Whether the map of an image is; those that are not are listed in `damaged`."""
        path = map_path(folder, name)
        try:
            sound = self._is_as_recorded(path, record)
        except OSError:
            sound = False
        if not sound:
            self.damaged.append(path)
        return sound

    def _is_as_recorded(self, path: Path, record: Record) -> bool:
        stamp, key = stamp_of(path), map_key(self.store, path)
        if "map_sha256" not in record:  # of a store that an older version has made
            return True
        if stamp[0] != record["map_bytes"]:
            return False
        if self._sizes_alone or (self.stamps.is_known(key, stamp) and not self.verify):
            return True
        if sha256_of(path) != record["map_sha256"]:
            return False
        self.stamps.note_map(key, stamp)
        return True


class Preparation:
    """What is there of some images and kinds, what is to be made, and the records of what has been made.

    An image is there where its record names the checksum of the HR file as it is now, and its map is sound.

    Args:
        digest: SHA-256 of an image's source.
        verify: compare the checksums of all maps.

    Attributes:
        todo: images of which something is not there, and what.
        damaged: maps that are recorded and not sound.

    Raises:
        StoreError: the store holds images that are not among these, or a manifest is damaged.
    """

    def __init__(
        self,
        images: list[SourceImage],
        store: Path,
        kinds: list[Kind],
        stamps: Stamps,
        digest: Callable[[SourceImage], str],
        *,
        verify: bool = False,
    ):
        self.images, self.store, self.stamps = images, store, stamps
        check = MapCheck(store, stamps, verify=verify)
        wanted: dict[str, list[Kind]] = {image.name: [] for image in images}
        self._records: dict[Kind, dict[str, Record]] = {}  # of folders that are not whole, or will not be
        with tqdm(
            total=len(kinds) * len(images), desc="looking at the store", unit="map", delay=2, disable=None, leave=False
        ) as bar:
            for kind in kinds:
                folder = leaf(store, *kind)
                manifest, found = _read_records(folder, wanted)
                sound: dict[str, Record] = {}
                for image in images:
                    bar.update()
                    record = found.get(image.name)
                    if record and _is_current(image, record, digest) and check.is_sound(folder, image.name, record):
                        sound[image.name] = record
                    else:
                        wanted[image.name].append(kind)
                if manifest is None or len(sound) < len(images):
                    self._records[kind] = sound
        self.damaged = check.damaged
        self.todo = [(image, tuple(wanted[image.name])) for image in images if wanted[image.name]]

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to do."""
        return not self._records

    def begin(self) -> None:
        """Open the folders that are to change: they are not whole until `finish`."""
        for kind, records in self._records.items():
            folder = leaf(self.store, *kind)
            folder.mkdir(parents=True, exist_ok=True)
            for sub in [folder, *(path for path in folder.iterdir() if path.is_dir())]:
                remove_temporaries(sub)
            write_atomically(folder / _PARTIAL, manifest_bytes({"format": 2, "images": records}))
            for name in ("manifest.json", _JOURNAL):
                (folder / name).unlink(missing_ok=True)

    def note(self, kind: Kind, name: str, record: Record) -> None:
        """The map of an image is there. One process does this, under the store's lock."""
        folder = leaf(self.store, *kind)
        path = map_path(folder, name)
        self.stamps.note_map(map_key(self.store, path), stamp_of(path))
        with (folder / _JOURNAL).open("ab") as journal:
            journal.write(b"\n" + json.dumps([name, record]).encode())  # in front: the line before may be cut short
        self._records[kind][name] = record

    def finish(self, encoder: str | None = None) -> None:
        """Write the manifests of folders that have all their images now.

        `encoder` says how they were compressed, where that is not what we would do.
        """
        if self._records:
            os.sync()  # the maps: once for all, where a sync for each would take longer than making them
        for kind, records in self._records.items():
            if all(image.name in records for image in self.images):
                folder = leaf(self.store, *kind)
                write_atomically(folder / "manifest.json", manifest_bytes(_manifest(kind, records, encoder)))
                for name in (_PARTIAL, _JOURNAL):
                    (folder / name).unlink(missing_ok=True)
        self.stamps.save()


@contextmanager
def writing_to(store: Path) -> Iterator[None]:
    """What the disk refuses while a store is worked on is the user's to mend. Raises StoreError."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{error.filename or store}: cannot be written: {error.strerror or error}") from None


def map_key(store: Path, path: Path) -> str:
    """The path of a map in its store. (`relative_to` takes longer than all else that is asked of a map.)"""
    return str(path)[len(str(store)) + 1 :]


def folder_stamps(store: Path, kinds: list[Kind]) -> list[Stamp | None]:
    """What the records of folders look like: equal to what they were, nobody has worked there meanwhile."""
    stamps: list[Stamp | None] = []
    for kind in kinds:
        for name in ("manifest.json", _PARTIAL, _JOURNAL):
            path = leaf(store, *kind) / name
            stamps.append(stamp_of(path) if path.exists() else None)
    return stamps


def _is_current(image: SourceImage, record: Record, digest: Callable[[SourceImage], str]) -> bool:
    if "map_sha256" not in record:
        return False
    try:
        return bool(record["source_sha256"] == digest(image))
    except OSError:
        return False  # what is wrong with the file is said when its turn comes


def _read_records(folder: Path, wanted: dict[str, list[Kind]]) -> tuple[dict[str, Any] | None, dict[str, Record]]:
    """The manifest of a folder (None: it is not whole), and the records of its images."""
    manifest = read_manifest(folder)
    before = manifest or read_manifest(folder, _PARTIAL)
    records: dict[str, Record] = dict(before["images"]) if before else {}
    strangers = [name for name in records if name not in wanted]
    if strangers:
        raise StoreError(
            f"{folder}: holds {len(strangers)} images that are not among the HR images ({strangers[0]}, …); "
            "name another store (data.train.prepared) or remove that folder"
        )
    return manifest, records if manifest else records | _read_journal(folder)


def _read_journal(folder: Path) -> dict[str, Record]:
    """The records that were appended; a line that a power cut has damaged is passed over."""
    records: dict[str, Record] = {}
    with suppress(OSError):
        for line in (folder / _JOURNAL).read_bytes().splitlines():
            with suppress(ValueError, TypeError):
                name, record = json.loads(line)
                records[name] = dict(record)
    return records


def write_map(folder: Path, name: str, pixels: np.ndarray, about: Record) -> Record:
    """Write the map of an image and return its record: sizes, checksum, and `about`.

    `about` holds `source_bytes` and `source_sha256`, and `bits_per_pixel` where the image was encoded. What a power
    cut may leave of the map is told by the checksum.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pixels))
    payload = buffer.getvalue()
    write_atomically(map_path(folder, name), payload, sync=False)
    height, width = pixels.shape[:2]
    return {"height": height, "width": width, "map_bytes": len(payload), "map_sha256": digest_of(payload), **about}


def _manifest(kind: Kind, records: dict[str, Record], encoder: str | None) -> dict[str, Any]:
    scale, spec = kind
    about: dict[str, Any] = {"kind": "hr"}
    if scale:
        resize = "another program's" if spec == AS_IS else "MATLAB bicubic" if scale > 1 else "none"
        about = {"kind": "lr", "scale": scale, "resize": resize}
        made_by = encoder or ("another program" if spec == AS_IS else parse(spec).describe())
        about |= {"compression": spec, "encoder": made_by}
        rates = [record["bits_per_pixel"] for record in records.values() if "bits_per_pixel" in record]
        if rates:
            about["mean_bits_per_pixel"] = round(sum(rates) / len(rates), 6)
    return {"format": 2, **about, "images": dict(sorted(records.items()))}
