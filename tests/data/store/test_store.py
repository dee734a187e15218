"""The prepared store: names that keep apart, maps without descriptors, errors for what is not whole."""

import os
from pathlib import Path

import numpy as np
import pytest

from data.store import StoreError, distinct_names, leaf, map_path, open_map, read_manifest, source_images
from utils.images import write_png


def test_names_keep_files_of_one_stem_and_folders_of_one_name_apart(tmp_path, photos):
    for place in ("a/x", "b/x"):
        write_png(tmp_path / place / "one.png", photos["coffee"])
    (tmp_path / "a/x/one.jpg").write_bytes((tmp_path / "a/x/one.png").read_bytes())
    assert [image.name for image in source_images([tmp_path / "a/x"])] == ["one.jpg", "one.png"]
    names = [image.name for image in source_images([tmp_path / "a/x", tmp_path / "b/x"])]
    assert names == ["a_x/one.jpg", "a_x/one.png", "b_x/one.png"]


def test_one_folder_given_twice_is_refused(tmp_path):
    with pytest.raises(StoreError, match="twice"):
        distinct_names([tmp_path, tmp_path / "." / ""])


def test_a_map_shows_the_pixels_and_holds_no_descriptor(tmp_path, photos):
    np.save(tmp_path / "a.npy", photos["coffee"])
    lowest_free = os.dup(0)
    os.close(lowest_free)
    maps = [open_map(tmp_path / "a.npy") for _ in range(20)]
    after = os.dup(0)
    os.close(after)
    assert after == lowest_free
    for pixels in maps:
        np.testing.assert_array_equal(pixels, photos["coffee"])
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0, 0] = 1


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a map"),
        lambda path: np.save(path, np.zeros((3, 4, 3), np.float32)),
        lambda path: np.save(path, np.zeros((3, 4), np.uint8)),
        lambda path: np.save(path, np.asfortranarray(np.zeros((3, 4, 3), np.uint8))),
        lambda path: (np.save(path, np.zeros((30, 40, 3), np.uint8)), os.truncate(path, 1000)),
        lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    ],
)
def test_other_files_are_refused_with_their_name(tmp_path, write):
    path = tmp_path / "a.npy"
    write(path)
    with pytest.raises(StoreError, match=r"a\.npy: not a"):
        open_map(path)


def test_missing_maps_and_broken_manifests_are_named(tmp_path):
    with pytest.raises(StoreError, match="missing from the store"):
        open_map(tmp_path / "a.npy")
    assert read_manifest(tmp_path) is None
    for text in ("{", "[]", '{"images": 3}', "{}"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(StoreError, match=r"manifest\.json"):
            read_manifest(tmp_path)


def test_places_in_the_store():
    assert leaf(Path("s"), 0, "none") == Path("s/hr")
    assert leaf(Path("s"), 2, "jpeg40>webp30") == Path("s/x2/jpeg40+webp30")
    assert map_path(Path("s/hr"), "a.png") == Path("s/hr/a.png.npy")
