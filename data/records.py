"""What of a prepared store is there already: manifests of whole folders, records of single images.

An image's map is whole once its record stands beside it; a folder is whole once its manifest does. A killed
preparation leaves records, and the next one goes on from them.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from data.codecs import parse
from data.store import SourceImage, StoreError, leaf, map_path, read_manifest
from utils.files import remove_temporaries, write_atomically

Kind = tuple[int, str]
"""Scale and compression of a folder; scale 0: HR."""


def is_prepared(images: list[SourceImage], store: Path, kinds: list[Kind]) -> bool:
    """Whether every folder is whole for exactly these images (sizes of the source files are compared)."""
    manifests = [read_manifest(leaf(store, *kind)) for kind in kinds]
    if any(manifest is None for manifest in manifests):
        return False
    return all(_same_sources(images, manifest) for manifest in manifests)


def _same_sources(images: list[SourceImage], manifest: dict) -> bool:
    entries = manifest["images"]
    return len(entries) == len(images) and all(_is_current(image, entries.get(image.name)) for image in images)


def _is_current(image: SourceImage, record: dict | None) -> bool:
    return record is not None and record["source_bytes"] == image.path.stat().st_size


def _record_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def missing(images: list[SourceImage], store: Path, kinds: list[Kind]) -> list[tuple[SourceImage, tuple[Kind, ...]]]:
    """The images of which something is not made yet, and what.

    Raises:
        StoreError: the store holds images that are not among these.
    """
    wanted: dict[str, list[Kind]] = {image.name: [] for image in images}
    for kind in kinds:
        folder = leaf(store, *kind)
        manifest = read_manifest(folder)
        if manifest is not None and _same_sources(images, manifest):
            continue
        _unfinish(folder, manifest, wanted)
        for image in images:
            if not _is_current(image, _read_record(folder, image.name)):
                wanted[image.name].append(kind)
    return [(image, tuple(wanted[image.name])) for image in images if wanted[image.name]]


def write_image(folder: Path, name: str, pixels: np.ndarray, about: dict) -> None:
    """The map of an image, then its record with the size and `about`: the record marks the map whole.

    `about` holds `source_bytes` and `source_sha256`, and `bits_per_pixel` where the image was encoded.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(pixels))
    write_atomically(map_path(folder, name), buffer.getvalue())
    record = {"height": pixels.shape[0], "width": pixels.shape[1], **about}
    write_atomically(_record_path(folder, name), _json(record))


def _unfinish(folder: Path, manifest: dict | None, wanted: dict) -> None:
    """Turn a manifest that no longer fits back into records, one per image."""
    if folder.is_dir():
        for sub in [folder, *(path for path in folder.iterdir() if path.is_dir())]:
            remove_temporaries(sub)
    if manifest is None:
        return
    strangers = [name for name in manifest["images"] if name not in wanted]
    if strangers:
        raise StoreError(
            f"{folder}: holds {len(strangers)} images that are not among the HR images ({strangers[0]}, …); "
            "name another store (data.train.prepared) or remove that folder"
        )
    for name, record in manifest["images"].items():
        write_atomically(_record_path(folder, name), _json(record))
    (folder / "manifest.json").unlink()


def _read_record(folder: Path, name: str) -> dict | None:
    try:
        record = json.loads(_record_path(folder, name).read_text(encoding="utf-8"))
        record["source_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if map_path(folder, name).is_file() else None


def finish(images: list[SourceImage], store: Path, kind: Kind, encoder: str | None = None) -> None:
    """Write the manifest of a folder whose records are all there, then remove the records.

    `encoder` says how its images were compressed, where that is not what we would do.
    """
    folder = leaf(store, *kind)
    manifest = read_manifest(folder)
    if manifest is None:
        records = {image.name: _read_record(folder, image.name) for image in images}
        if any(record is None for record in records.values()):
            return
        manifest = _manifest(kind, records, encoder)
        write_atomically(folder / "manifest.json", _json(manifest))
    for name in manifest["images"]:
        _record_path(folder, name).unlink(missing_ok=True)


def _manifest(kind: Kind, records: dict[str, dict], encoder: str | None) -> dict:
    scale, spec = kind
    about: dict[str, Any] = {"kind": "hr"}
    if scale:
        about = {"kind": "lr", "scale": scale, "resize": "MATLAB bicubic" if scale > 1 else "none"}
        about |= {"compression": spec, "encoder": encoder or parse(spec).describe()}
        rates = [record["bits_per_pixel"] for record in records.values() if "bits_per_pixel" in record]
        if rates:
            about["mean_bits_per_pixel"] = round(sum(rates) / len(rates), 6)
    return {"format": 1, **about, "images": dict(sorted(records.items()))}


def _json(value: dict) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
