"""Patches: LR and HR show the same place, at every flip, and one stream for any number of workers."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from data.codecs import compress, parse
from data.datasets import PatchDataset, training_loader
from data.jpeg_files.quantisation import UNKNOWN, steps_of
from data.options import TrainDataOptions
from data.prepare import prepare_for
from data.resize import imresize
from data.sampling import IterationSampler
from data.store import StoreError, leaf, map_path, open_map
from utils.images import write_png
from utils.options import OptionsError, validate

ROOT = Path(__file__).parents[2]


def make(folder, store, steps=False, scale=2, **options):
    values = {
        "hr": str(folder),
        "prepared": str(store),
        "compressions": ["none"],
        "patch_size": 16,
        "workers": 0,
        **options,
    }
    options = validate(values, TrainDataOptions, "test")
    prepare_for(options, scale, jobs=1, progress=False)
    return PatchDataset(options, scale, seed=7, steps=steps)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("patches") / "store"


def test_lr_and_hr_show_the_same_place(photo_folder, store):
    """Uncompressed LR patches are the bicubic of their HR patches but for the border, in all eight orientations."""
    dataset = make(photo_folder, store)
    orientations = set()
    for k in range(60):
        sample = dataset[k]
        lr, hr = sample["lr"].numpy(), sample["hr"].numpy()
        assert lr.shape == (16, 16, 3) and hr.shape == (32, 32, 3) and lr.dtype == hr.dtype == np.uint8
        turn = _orientation(dataset, hr)
        orientations.add(turn)
        inner = np.abs(imresize(_turned(hr, turn), 0.5).astype(int) - _turned(lr, turn))[3:-3, 3:-3]
        assert inner.max() == 0
    assert len(orientations) == 8


def _turned(patch, turn):
    return np.rot90(patch[:, ::-1] if turn > 3 else patch, turn % 4)


def _orientation(dataset, hr):
    """Which of the eight symmetries brings the patch back to a place of its photograph."""
    for name in dataset.sources[0].names:
        photo = open_map(map_path(dataset.sources[0].hr_folder, name))
        windows = np.lib.stride_tricks.sliding_window_view(photo[:, :, 0], hr.shape[:2])
        for turn in range(8):
            patch = _turned(hr, turn)[:, :, 0]
            if (windows[:, :, 0, 0] == patch[0, 0]).any() and (windows == patch).all(axis=(2, 3)).any():
                return turn
    raise AssertionError("the patch is nowhere in the photographs")


def test_options_switch_the_symmetries_off(photo_folder, store):
    dataset = make(photo_folder, store, flip=False, rotate=False)
    assert {_orientation(dataset, dataset[k]["hr"].numpy()) for k in range(12)} == {0}


def test_compressions_are_drawn_evenly_out_of_whole_compressed_images(photo_folder, store):
    specs = ["jpeg10", "webp20", "none"]
    dataset = make(photo_folder, store, compressions=specs, flip=False, rotate=False)
    whole = {
        spec: [open_map(map_path(leaf(dataset.options.store, 2, spec), name)) for name in dataset.sources[0].names]
        for spec in specs
    }
    found = dict.fromkeys(specs, 0)
    for k in range(90):
        lr = dataset[k]["lr"].numpy()
        for spec in specs:
            windows = [np.lib.stride_tricks.sliding_window_view(image, lr.shape)[:, :, 0] for image in whole[spec]]
            found[spec] += any((w == lr).all(axis=(2, 3, 4)).any() for w in windows)
    assert sum(found.values()) >= 90 and all(15 <= count <= 45 for count in found.values())


def test_on_the_fly_patches_are_compressed_with_a_random_phase(photo_folder, store):
    dataset = make(photo_folder, store, compress="on_the_fly", compressions=["jpeg5..15"], flip=False, rotate=False)
    clean = make(photo_folder, store, flip=False, rotate=False)
    differences = []
    for k in range(20):
        lr, hr = dataset[k]["lr"].numpy().astype(float), dataset[k]["hr"].numpy()
        assert np.array_equal(hr, clean[k]["hr"].numpy())
        exact = clean[k]["lr"].numpy()
        differences.append(np.abs(lr - exact).mean())
        assert not np.array_equal(lr, compress(exact, "jpeg10"))
        assert np.array_equal(lr, dataset[k]["lr"].numpy())
    assert 1 < np.mean(differences) < 20


@pytest.mark.parametrize(
    "mode", [{}, {"compress": "on_the_fly", "compressions": ["jpeg10..95:444", "webp5"], "repost": {}}]
)
def test_one_stream_for_any_number_of_workers_ranks_and_resumes(photo_folder, store, mode):
    def stream(workers, start=0, rank=0, ranks=1):
        dataset = make(photo_folder, store, workers=workers, **mode)
        sampler = IterationSampler(start, 6, 4, accumulate=1, rank=rank, ranks=ranks)
        return list(training_loader(dataset, sampler, pin_memory=False))

    expected = stream(0)
    assert len(expected) == 6 and expected[0]["lr"].shape == (4, 16, 16, 3)
    for other in (stream(2), stream(4)):
        assert all(torch.equal(a[name], b[name]) for a, b in zip(expected, other, strict=True) for name in a)
    for a, b in zip(expected[4:], stream(2, start=4), strict=True):
        assert torch.equal(a["lr"], b["lr"]) and torch.equal(a["hr"], b["hr"])
    for whole, *parts in zip(expected, stream(0, rank=0, ranks=2), stream(2, rank=1, ranks=2), strict=True):
        assert torch.equal(whole["lr"], torch.cat([part["lr"] for part in parts]))


@pytest.mark.parametrize("scale", [1, 2])
def test_patches_that_a_resize_leaves_show_one_place(photo_folder, tmp_path, scale):
    """LR is HR made smaller, and no neighbour's place fits better: HR was resized by the same factor."""
    mode = {"compress": "on_the_fly", "compressions": ["resize0.4..0.9>jpeg98:444>resize1.1>jpeg98:444"]}
    dataset = make(photo_folder, tmp_path / "s", scale=scale, flip=False, rotate=False, **mode)
    assert dataset.options.least_side == 37  # 16 / (0.4 · 1.1)
    errors = np.zeros((3, 3))
    for k in range(24):
        sample = dataset.sample(k)
        assert sample.lr.shape == (16, 16, 3) and sample.hr.shape == (16 * scale, 16 * scale, 3)
        small = imresize(sample.hr, 1 / scale) if scale > 1 else sample.hr
        for y in range(3):
            for x in range(3):
                moved = sample.lr[2 + y : 12 + y, 2 + x : 12 + x].astype(float)
                errors[y, x] += np.abs(moved - small[3:13, 3:13]).mean() / 24
    assert errors[1, 1] < 3 and errors[1, 1] < 0.4 * np.partition(errors.ravel(), 1)[1]


def test_an_image_too_small_for_its_resize_is_named(photos, tmp_path):
    write_png(tmp_path / "hr" / "small.png", photos["coffee"][:60, :90])
    mode = {"compress": "on_the_fly", "compressions": ["jpeg50"], "repost": {"resize": "resize0.5..1"}}
    with pytest.raises(StoreError, match=r"small\.png.*30×45, smaller than a patch of 16 after its resize by 0\.5"):
        make(tmp_path / "hr", tmp_path / "s", **mode)
    make(tmp_path / "hr", tmp_path / "s", **mode, patch_size=15)  # as it advises


def test_many_images_under_a_low_limit_of_open_files(photos, tmp_path):
    for n in range(120):
        write_png(tmp_path / "hr" / f"{n:03d}.png", photos["coffee"][:40, :40])
    dataset = make(tmp_path / "hr", tmp_path / "s", compressions=["jpeg10", "jpeg20"])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "from data.datasets import PatchDataset; from data.options import TrainDataOptions\n"
        "options = TrainDataOptions.model_validate_json(sys.argv[1])\n"
        "dataset = PatchDataset(options, 2, 0); [dataset[k] for k in range(600)]\n"
        "assert dataset.sources[0].opened > 300\n"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 64
    subprocess.run([sys.executable, "-c", code, dataset.options.model_dump_json()], cwd=ROOT, check=True)


def test_images_smaller_than_a_patch_and_unprepared_stores_are_named(photos, tmp_path):
    write_png(tmp_path / "hr" / "small.png", photos["coffee"][:31, :60])
    with pytest.raises(StoreError, match=r"small\.png.*smaller than a patch of 16"):
        make(tmp_path / "hr", tmp_path / "s")
    options = validate({"hr": str(tmp_path / "hr"), "compressions": ["jpeg10"]}, TrainDataOptions, "test")
    with pytest.raises(StoreError, match="not prepared"):
        PatchDataset(options, 2, 0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"compressions": ["jpeg10..95"]}, "is a range"),
        ({"compressions": ["jpg10"]}, "not a compression"),
        ({"compressions": []}, "at least 1 item"),
        ({"compressions": ["jpeg10", "jpeg10"]}, "twice"),
        ({"patch_size": 2}, "greater than or equal to 4"),
        ({"repost": {}}, "on_the_fly"),
        ({"compress": "on_the_fly", "repost": {"resize": "shift0,4"}}, "as in `resize0.5..1`"),
        ({"compress": "on_the_fly", "repost": {"resize": "resize0.01..1"}}, "0.1 to 4"),
        ({"compress": "on_the_fly", "repost": {"encodings": [0, 0]}}, "above 0"),
        ({"compress": "on_the_fly", "compressions": ["jpeg9>jpeg8"], "repost": {}}, "single codecs"),
    ],
)
def test_impossible_options_are_refused(options, what):
    with pytest.raises(OptionsError, match=what):
        validate({"hr": "x", "compressions": ["none"], **options}, TrainDataOptions, "test")


def test_steps_are_those_of_each_patch(photo_folder, store):
    given = {"compress": "on_the_fly", "compressions": ["jpeg10", "jpeg90:444", "webp20", "none"]}
    dataset = make(photo_folder, store, steps=True, **given)
    seen = {tuple(dataset[k]["steps"].tolist()) for k in range(40)}
    assert seen == {steps_of(parse("jpeg10")), steps_of(parse("jpeg90")), UNKNOWN}
    assert "steps" not in make(photo_folder, store, **given)[0]


def test_hidden_steps_change_nothing_else(photo_folder, store):
    given = {"compress": "on_the_fly", "compressions": ["jpeg10", "jpeg30"]}
    shown, hidden = (make(photo_folder, store, steps=True, hide_steps=share, **given) for share in (1e-9, 1.0))
    for k in range(8):
        assert tuple(hidden[k]["steps"].tolist()) == UNKNOWN != tuple(shown[k]["steps"].tolist())
        assert torch.equal(hidden[k]["lr"], shown[k]["lr"]) and torch.equal(hidden[k]["hr"], shown[k]["hr"])


def test_a_share_of_patches_is_grey(photo_folder, store):
    dataset = make(photo_folder, store, compress="on_the_fly", compressions=["jpeg50"], grey=0.5)
    grey = [bool((dataset[k]["hr"] == dataset[k]["hr"][..., :1]).all()) for k in range(40)]
    assert 8 < sum(grey) < 32
    for k in range(40):
        spread = (dataset[k]["lr"].int() - dataset[k]["lr"][..., :1].int()).abs().max()
        assert not grey[k] or spread <= 2  # the decoder's rounding of colours


def test_grey_needs_patches_compressed_as_they_are_drawn(photo_folder, store):
    with pytest.raises(OptionsError, match="on_the_fly"):
        make(photo_folder, store, grey=0.5)
