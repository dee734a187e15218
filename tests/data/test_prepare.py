"""Preparation: right pixels, nothing twice, nothing half, the same bytes after a kill."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from data import prepare as prepare_module
from data.codecs import compress
from data.prepare import prepare
from data.resize import imresize, modcrop
from data.store import StoreError, leaf, map_path, open_map, read_manifest, source_images
from utils.images import write_png

ROOT = Path(__file__).parents[2]
SPECS = ["jpeg10", "webp30"]


def digest(store):
    """Every file of a store but the lock and what is remembered of files' times, by content."""
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name not in (".lock", ".stamps.json")
    }


@pytest.fixture(scope="module")
def prepared(photo_folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "s"
    assert prepare(source_images([photo_folder]), store, 2, SPECS, jobs=1) == []
    return store


def test_pixels_are_those_of_the_field(prepared, photos):
    for name, photo in photos.items():
        np.testing.assert_array_equal(open_map(map_path(leaf(prepared, 0, "none"), f"{name}.png")), photo)
        clean = imresize(modcrop(photo, 2), 0.5)
        np.testing.assert_array_equal(open_map(map_path(leaf(prepared, 2, "none"), f"{name}.png")), clean)
        for spec in SPECS:
            lr = open_map(map_path(leaf(prepared, 2, spec), f"{name}.png"))
            np.testing.assert_array_equal(lr, compress(clean, spec))


def test_manifests_say_what_was_made_without_times_or_paths(prepared, photos, photo_folder):
    manifest = read_manifest(leaf(prepared, 2, "jpeg10"))
    assert manifest["compression"] == "jpeg10" and manifest["scale"] == 2 and "encoder" in manifest
    assert set(manifest["images"]) == {f"{name}.png" for name in photos}
    assert 0.1 < manifest["mean_bits_per_pixel"] < 3
    assert str(photo_folder) not in json.dumps(manifest)
    assert not list(prepared.rglob("records.jsonl")) and not list(prepared.rglob("manifest.partial.json"))


def test_the_number_of_processes_does_not_show(prepared, photo_folder, tmp_path):
    assert prepare(source_images([photo_folder]), tmp_path / "s", 2, SPECS, jobs=2) == []
    assert digest(tmp_path / "s") == digest(prepared)


def test_what_is_there_is_not_made_again(prepared, photo_folder, monkeypatch):
    def fail(*_):
        raise AssertionError("made again")

    monkeypatch.setattr("data.prepare.workers.make", fail)
    assert prepare(source_images([photo_folder]), prepared, 2, SPECS, jobs=1) == []


def test_new_codecs_and_images_are_added_and_changed_images_made_anew(photos, tmp_path):
    hr, store = tmp_path / "hr", tmp_path / "s"
    write_png(hr / "a.png", photos["coffee"])
    prepare(source_images([hr]), store, 2, ["jpeg10"], jobs=1)
    write_png(hr / "b.png", photos["chelsea"])
    write_png(hr / "a.png", photos["astronaut"])
    prepare(source_images([hr]), store, 2, ["jpeg10", "jpeg20"], jobs=1)
    again = tmp_path / "again"
    prepare(source_images([hr]), again, 2, ["jpeg10", "jpeg20"], jobs=1)
    assert digest(store) == digest(again)


def test_a_store_of_other_images_is_refused(prepared, tmp_path, photos):
    write_png(tmp_path / "hr" / "other.png", photos["coffee"])
    with pytest.raises(StoreError, match="not among the HR images"):
        prepare(source_images([tmp_path / "hr"]), prepared, 2, SPECS, jobs=1)


def test_bad_images_are_listed_and_the_rest_is_made(photos, tmp_path):
    hr, store = tmp_path / "hr", tmp_path / "s"
    write_png(hr / "good.png", photos["coffee"])
    write_png(hr / "tiny.png", photos["coffee"][:1, :1])
    (hr / "cut.png").write_bytes((hr / "good.png").read_bytes()[:2000])
    failures = prepare(source_images([hr]), store, 2, ["jpeg10"], jobs=1)
    assert len(failures) == 2 and "cut.png" in failures[0] and "tiny.png" in failures[1]
    assert read_manifest(leaf(store, 2, "jpeg10")) is None
    (hr / "cut.png").unlink(), (hr / "tiny.png").unlink()
    assert prepare(source_images([hr]), store, 2, ["jpeg10"], jobs=1) == []
    assert read_manifest(leaf(store, 2, "jpeg10")) is not None


def test_a_disk_that_is_too_small_is_found_before_any_work(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda _: type("usage", (), {"free": 1000}))
    with pytest.raises(StoreError, match=r"\d kB are needed and 1\.0 kB are free"):
        prepare(source_images([photo_folder]), tmp_path / "s", 2, SPECS, jobs=1)
    assert not list((tmp_path / "s").rglob("*.npy"))


def command(photo_folder, store, *more):
    return [
        sys.executable,
        "-m",
        "data.prepare",
        "--hr",
        photo_folder,
        "--store",
        store,
        "--compressions",
        *SPECS,
        *more,
    ]


def test_killed_at_any_moment_a_rerun_ends_with_the_same_bytes(prepared, photo_folder, tmp_path):
    store = tmp_path / "s"
    rng = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(command(photo_folder, store, "--jobs", "2"), cwd=ROOT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not (store / "hr").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command(photo_folder, store, "--jobs", "1"), cwd=ROOT, check=True, capture_output=True)
    assert digest(store) == digest(prepared)


def test_the_command_line_ends_with_one_line_for_a_mistake(photo_folder, tmp_path):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "data.prepare", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        return done.returncode, done.stderr.strip()

    status, text = run("--hr", tmp_path / "none", "--store", tmp_path / "s")
    assert status == 2 and text.startswith("error: ") and str(tmp_path / "none") in text and "\n" not in text
    status, text = run("--hr", photo_folder, "--store", tmp_path / "s", "--compressions", "jpg10")
    assert status == 2 and "jpg10" in text and "\n" not in text
    status, text = run()
    assert status == 2 and "--options FILE" in text


def write_lmdb(folder, images):
    import cv2
    import lmdb

    folder.mkdir()
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for key, image in images.items():
            transaction.put(key.encode(), cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    lines = [f"{key} ({image.shape[0]},{image.shape[1]},3) 1" for key, image in images.items()]
    (folder / "meta_info.txt").write_text("\n".join(lines) + "\n")


def test_an_lmdb_pair_becomes_a_store_that_trains(photos, tmp_path):
    from data.datasets import PatchDataset
    from data.options import TrainDataOptions

    compressed = {key: compress(photo, "jpeg10") for key, photo in photos.items()}
    write_lmdb(tmp_path / "gt.lmdb", photos)
    write_lmdb(tmp_path / "lq.lmdb", compressed)
    arguments = ["--from-lmdb", tmp_path / "gt.lmdb", tmp_path / "lq.lmdb", "--store", tmp_path / "s"]
    for _ in range(2):  # the second time there is nothing left to do
        done = subprocess.run(
            [sys.executable, "-m", "data.prepare", *arguments, "--compressions", "hevc37"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and "3 images, ×1, hevc37" in done.stdout, done.stderr
    for key, photo in photos.items():
        np.testing.assert_array_equal(open_map(map_path(leaf(tmp_path / "s", 0, "none"), f"{key}.png")), photo)
        lr = open_map(map_path(leaf(tmp_path / "s", 1, "hevc37"), f"{key}.png"))
        np.testing.assert_array_equal(lr, compressed[key])
    assert read_manifest(leaf(tmp_path / "s", 1, "hevc37"))["encoder"] == "as found in an LMDB"
    options = TrainDataOptions(prepared=tmp_path / "s", compressions=("hevc37",), patch_size=32)
    sample = PatchDataset(options, 1, seed=0)[5]
    assert sample["lr"].shape == sample["hr"].shape == (32, 32, 3)
