"""A store is not believed: other images, damaged maps and altered manifests are found; what messages advise helps."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from data import prepare as prepare_module
from data.datasets import PatchDataset
from data.options import TrainDataOptions
from data.prepare import is_prepared, prepare, prepare_for
from data.store import StoreError, leaf, map_path, open_map, read_manifest, source_images, stamps
from data.store import writer as records
from utils import files
from utils.images import write_png

ROOT = Path(__file__).parents[3]
SPECS = ["jpeg10"]


@pytest.fixture
def hr(photos, tmp_path):
    """Two photographs as PPM files: a file's size says nothing of what is in it."""
    folder = tmp_path / "hr"
    folder.mkdir()
    for name in ("coffee", "chelsea"):
        write_ppm(folder / f"{name}.ppm", photos[name])
    return folder


def write_ppm(path, pixels, age=10):
    """As it would be found: written a while ago."""
    path.write_bytes(b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def make(hr, **more):
    assert prepare(source_images([hr]), hr.parent / "s", 2, SPECS, jobs=1, **more) == []
    return hr.parent / "s"


def pixels(store, name, scale=0, spec="none"):
    return open_map(map_path(leaf(store, scale, spec), name))


def contents(store):
    return {path: path.read_bytes() for path in store.rglob("*") if path.is_file() and not path.name.startswith(".")}


def options(hr, store, **more):
    return TrainDataOptions(hr=hr, prepared=store, compressions=("jpeg10",), patch_size=16, **more)


def test_an_image_edited_at_the_same_size_is_made_anew(hr, photos):
    store = make(hr)
    edited = photos["coffee"][::-1].copy()
    write_ppm(hr / "coffee.ppm", edited, age=5)
    assert not is_prepared(source_images([hr]), store, 2, SPECS)
    make(hr)
    np.testing.assert_array_equal(pixels(store, "coffee.ppm"), edited)
    np.testing.assert_array_equal(pixels(store, "chelsea.ppm"), photos["chelsea"])


def test_a_touched_or_copied_image_is_read_and_not_made_again(hr, monkeypatch):
    store = make(hr)
    before = contents(store)
    for path in hr.iterdir():
        os.utime(path, (1e9, 1e9))
    monkeypatch.setattr("data.prepare.workers.make", None)
    read = []
    monkeypatch.setattr(stamps, "sha256_of", lambda path: read.append(path.name) or files.sha256_of(path))
    make(hr)
    assert sorted(read) == ["chelsea.ppm", "coffee.ppm"] and contents(store) == before
    make(hr)
    assert len(read) == 2  # and is known from then on


def test_an_edit_that_hides_its_time_is_found_by_verify(hr, photos, monkeypatch):
    """Where neither size nor times tell, as after a clock was set back, only reading does."""
    store = make(hr)
    monkeypatch.setattr(stamps, "stamp_of", lambda path: (path.stat().st_size, 1, 1))
    make(hr)
    write_ppm(hr / "coffee.ppm", photos["coffee"][::-1].copy())
    make(hr)
    np.testing.assert_array_equal(pixels(store, "coffee.ppm"), photos["coffee"])
    make(hr, verify=True)
    np.testing.assert_array_equal(pixels(store, "coffee.ppm"), photos["coffee"][::-1])


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[3000] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [flip_a_bit, lambda path: os.truncate(path, 100), Path.unlink])
def test_a_damaged_map_is_named_and_made_again(hr, capfd, damage):
    store = make(hr)
    before = contents(store)
    path = map_path(leaf(store, 2, "jpeg10"), "coffee.ppm")
    damage(path)
    assert not is_prepared(source_images([hr]), store, 2, SPECS)
    make(hr)
    assert f"{path}: missing, cut short or altered; made again\n" in capfd.readouterr().err
    assert contents(store) == before


def test_a_bit_that_flips_on_the_disk_is_found_by_verify(hr):
    """Nothing of the file changes but its content."""
    store = make(hr)
    before = contents(store)
    path = map_path(leaf(store, 0, "none"), "coffee.ppm")
    noted = path.stat()
    flip_a_bit(path)
    os.utime(path, ns=(noted.st_atime_ns, noted.st_mtime_ns))
    assert is_prepared(source_images([hr]), store, 2, SPECS)
    make(hr, verify=True)
    assert contents(store) == before


def test_a_store_without_its_images_is_looked_at_as_well(hr, photos):
    store = make(hr)
    alone = options(None, store)
    prepare_for(alone, 2)
    path = map_path(leaf(store, 2, "jpeg10"), "coffee.ppm")
    flip_a_bit(path)
    with pytest.raises(StoreError, match=r"coffee\.ppm\.npy: missing, cut short or altered \(1 maps are\)"):
        prepare_for(alone, 2)
    prepare_for(options(hr, store), 2, progress=False)  # as it advises
    prepare_for(alone, 2, verify=True)
    shutil.rmtree(leaf(store, 2, "jpeg10"))
    with pytest.raises(StoreError, match="x2/jpeg10: no prepared images"):
        prepare_for(alone, 2)


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: text.replace('"height": 79', '"height": 790', 1),
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
    ],
)
def test_an_altered_manifest_is_named_and_its_advice_helps(hr, alter):
    store = make(hr)
    before = contents(store)
    path = leaf(store, 2, "jpeg10") / "manifest.json"
    path.write_text(alter(path.read_text()))
    assert path.read_bytes() != before[path]
    for use in (lambda: make(hr), lambda: PatchDataset(options(hr, store), 2, 0)):
        with pytest.raises(StoreError, match=r"jpeg10/manifest\.json: not readable .*; remove it and prepare again"):
            use()
    path.unlink()
    make(hr)
    assert contents(store) == before


@pytest.mark.parametrize(
    "damage", [lambda path: os.truncate(path, 100), lambda path: path.write_bytes(b"x"), Path.unlink]
)
def test_what_the_messages_of_a_map_advise_helps(hr, damage):
    store = make(hr)
    path = map_path(leaf(store, 2, "jpeg10"), "coffee.ppm")
    damage(path)
    with pytest.raises(StoreError, match="prepare again") as error:
        open_map(path)
    if "remove it" in str(error.value):
        path.unlink()
    make(hr)
    assert open_map(path).shape[2] == 3


def test_a_store_made_by_an_older_version_is_made_again(hr):
    store = make(hr)
    before = contents(store)
    for path in store.rglob("manifest.json"):
        manifest = read_manifest(path.parent)
        for record in manifest["images"].values():
            del record["map_sha256"], record["map_bytes"]
        path.write_text(json.dumps({**manifest, "format": 1}))
    assert PatchDataset(options(None, store), 2, 0)[0]["lr"].shape == (16, 16, 3)
    make(hr)
    assert contents(store) == before


def test_a_preparation_that_is_cut_off_goes_on_with_what_it_has_made(hr, photos, monkeypatch):
    """Also where one image is made again in a folder that was whole: it is not taken for whole meanwhile."""
    store = make(hr)
    write_ppm(hr / "coffee.ppm", photos["coffee"][::-1].copy(), age=5)
    made = []

    def cut_off(work, kind, name, record):
        made.append(kind)
        if len(made) == 2:
            raise KeyboardInterrupt
        note(work, kind, name, record)

    note = records.Preparation.note
    with monkeypatch.context() as patch:
        patch.setattr(records.Preparation, "note", cut_off)
        with pytest.raises(KeyboardInterrupt):
            make(hr)
    with pytest.raises(StoreError, match="not prepared"):
        PatchDataset(options(hr, store), 2, 0)
    with (leaf(store, 0, "none") / "records.jsonl").open("ab") as journal:
        journal.write(b'\n["chelsea.ppm", {"hei')  # as a power cut leaves a line
    written = []
    write_map = records.write_map
    monkeypatch.setattr("data.store.image_maps.write_map", lambda *a: written.append(a[0].name) or write_map(*a))
    make(hr)
    assert sorted(written) == ["jpeg10", "none"]
    fresh = shutil.copytree(hr, hr.parent / "again" / "hr")
    again = make(fresh)
    assert {p.relative_to(store): c for p, c in contents(store).items()} == {
        p.relative_to(again): c for p, c in contents(again).items()
    }


def test_names_that_are_not_utf8_are_prepared_and_drawn_from(photos, tmp_path):
    hr = tmp_path / "hr"
    name = "caf\udce9.png"  # as Python holds a byte of Latin-1
    write_png(hr / name, photos["coffee"])
    command = [sys.executable, "-m", "data.prepare", "--hr", hr, "--store", tmp_path / "s", "--compressions", *SPECS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "1 images" in done.stdout, done.stderr
    dataset = PatchDataset(options(hr, tmp_path / "s"), 2, 0)
    assert dataset.sources[0].names == [name] and dataset[0]["hr"].shape == (32, 32, 3)
    np.testing.assert_array_equal(pixels(tmp_path / "s", name), photos["coffee"])


def test_a_name_of_the_greatest_length_is_prepared(photos, tmp_path):
    write_png(tmp_path / "hr" / ("n" * 247 + ".png"), photos["coffee"])
    make(tmp_path / "hr")


def test_a_disk_that_takes_no_record_is_named(hr, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(records.Preparation, "note", full)
        with pytest.raises(StoreError, match="/s: cannot be written: No space left on device"):
            make(hr)
    make(hr)


def test_who_waited_for_another_does_not_read_everything_again(hr, monkeypatch):
    """Several processes start together; the first prepares, the others find it done."""
    inside = prepare_module.locked

    @contextmanager
    def after_another(*arguments, **more):
        monkeypatch.setattr(prepare_module, "locked", inside)
        store = make(hr)
        monkeypatch.setattr(records, "sha256_of", None)
        monkeypatch.setattr("data.prepare.workers.make", None)
        with inside(store / ".lock", wait=False):
            yield

    monkeypatch.setattr(prepare_module, "locked", after_another)
    make(hr)
