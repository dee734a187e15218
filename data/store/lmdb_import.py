"""An LMDB pair of original and compressed images to a prepared store."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from data.codecs import parse
from data.store import SourceImage, leaf
from data.store.lmdb_pairs import import_pair, pair_keys
from data.store.stamps import Stamps, digest_of
from data.store.writer import Kind, Preparation, write_map, writing_to
from utils.files import locked, sha256_of


def import_lmdb(gt: Path, lq: Path, store: Path, spec: str) -> int:
    """An LMDB pair of original and compressed images (scale 1) to the same store; returns the number of images.

    Args:
        spec: the compression that `lq` holds, `hevc37` say: the name of its folder in the store.

    Raises:
        LmdbError, StoreError: the pair does not fit together, is damaged, or the store holds other images.
    """
    kinds: list[Kind] = [(0, "none"), (1, str(parse(spec)))]
    images = [SourceImage(f"{key}.png", gt / "data.mdb") for key in pair_keys(gt, lq)]
    with locked(store / ".lock", wait=True), writing_to(store):
        digest = digest_of((sha256_of(gt / "data.mdb") + sha256_of(lq / "data.mdb")).encode())
        work = Preparation(images, store, kinds, Stamps(store), lambda _: digest)
        work.begin()
        todo = {image.name: kinds_of_image for image, kinds_of_image in work.todo}
        source = {"source_bytes": (gt / "data.mdb").stat().st_size, "source_sha256": digest}
        for key, hr, lr in tqdm(import_pair(gt, lq) if todo else (), total=len(images), unit="image", disable=None):
            name = f"{key}.png"
            for scale, kind_spec in todo.get(name, ()):
                pixels = lr if scale else hr
                work.note((scale, kind_spec), name, write_map(leaf(store, scale, kind_spec), name, pixels, source))
        work.finish(encoder="as found in an LMDB")
    return len(images)
