"""Training on pairs of files that another program has made: what is said of them, resume, and any number of workers."""

import io
import re
import shutil

import numpy as np
import pytest
import skimage.data
import torch
import yaml
from PIL import Image, ImageCms

from benchmarks.soak import differences, experiment, start, train
from data.datasets import PatchDataset, training_loader
from data.pairs import PairError
from data.sampling import IterationSampler
from training.check import check
from training.experiment import run_experiment
from training.options import TrainOptions
from utils.options import load

SHIFT = (3, -4)  # rows and columns of HR pixels


def crop(image, top, left, height, width):
    return np.ascontiguousarray(image[top : top + height, left : left + width])


def as_platform(hr):
    """Half the size by Pillow, as JPEG 4:4:4 with a colour profile: no encoder and no resize of ours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    small = Image.fromarray(hr).resize((hr.shape[1] // 2, hr.shape[0] // 2), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=40, subsampling="4:4:4", icc_profile=profile, progressive=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """HR and LR of a platform: one pair in place, one shifted, one HR image a row taller than twice its LR image."""
    hr, lr = tmp_path_factory.mktemp("platform") / "hr", None
    lr = hr.with_name("lr")
    hr.mkdir()
    lr.mkdir()
    coffee, astronaut, chelsea = skimage.data.coffee(), skimage.data.astronaut(), skimage.data.chelsea()
    for name, photo, moved in (
        ("astronaut", astronaut, (0, 0)),
        ("coffee", coffee, SHIFT),
        ("chelsea", chelsea, (0, 0)),
    ):
        original = crop(photo, 40, 120, 161 if name == "chelsea" else 160, 200)
        Image.fromarray(original).save(hr / f"{name}.png")
        # What lies higher in the photograph lies lower in a crop of it.
        seen = crop(photo, 40 - moved[0], 120 - moved[1], 160, 200)
        (lr / f"{name}_lr.jpg").write_bytes(as_platform(seen))
    return lr, hr


def shift_in(said):
    """What a warning says of the one pair that is shifted."""
    found = re.findall(
        r"coffee_lr\.jpg: shifted against coffee\.png by (\S+) rows and (\S+) columns of HR pixels", said
    )
    assert len(found) == 1, said
    return tuple(map(float, found[0]))


def options_for(folder, folders, iterations=4):
    """The options of a small experiment on the pairs and on photographs that are compressed here, one to one."""
    lr, hr = folders
    path = experiment("supervised", folder, hr, iterations, checkpoint={"every": 1, "keep": 4})
    options = yaml.safe_load(path.read_text())
    options["data"]["train"] |= {"weight": 1, "pairs": [{"lr": str(lr), "hr": str(hr), "weight": 1}]}
    path.write_text(yaml.safe_dump(options))
    return path


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """An experiment trained by `train.py`, and what it said."""
    path = options_for(tmp_path_factory.mktemp("runs") / "straight", folders)
    process = start(path, "data.train.workers=1")
    _, said = process.communicate()
    assert process.returncode == 0, said
    return path, said


def test_a_shifted_pair_and_a_cropped_one_are_said(trained):
    _, said = trained
    warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1, said
    assert shift_in(warnings[0]) == pytest.approx(SHIFT, abs=0.5)
    assert "chelsea_lr.jpg and chelsea.png: 80×100 and 161×200 are cropped to 80×100 and 160×200" in said


def test_a_resume_with_other_workers_ends_with_the_same_bytes(trained, folders, tmp_path):
    straight, _ = trained
    resumed = options_for(tmp_path / "resumed", folders)
    shutil.copytree(straight.parent / "runs", resumed.parent / "runs")
    for name in ("checkpoints/00000003.pt", "checkpoints/00000004.pt", "last.safetensors"):
        (resumed.parent / "runs" / "supervised" / "stage0" / name).unlink()
    train(resumed, "auto", "data.train.workers=2", f"data.train.prepared={straight.parents[1] / 'store'}")
    assert differences(straight, resumed) == []


def test_any_number_of_workers_gives_the_samples_of_none(trained):
    options = load(trained[0], TrainOptions, []).data.train

    def batches(workers):
        dataset = PatchDataset(options.model_copy(update={"workers": workers}), 2, seed=5, steps=True)
        return list(training_loader(dataset, IterationSampler(0, 3, 4), pin_memory=False))

    expected = batches(0)
    for workers in (1, 2):
        for one, other in zip(expected, batches(workers), strict=True):
            assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_missing_partner_is_named_before_anything_is_written(folders, tmp_path):
    lr, hr = (shutil.copytree(folder, tmp_path / folder.name) for folder in folders)
    (lr / "astronaut_lr.jpg").unlink()
    options = load(options_for(tmp_path / "a" / "b", (lr, hr)), TrainOptions, [])
    for attempt in (lambda: run_experiment(options, None), lambda: check(options)):
        with pytest.raises(PairError, match=r"data\.train\.pairs\.0: 1 files have no partner.*: astronaut; rename"):
            attempt()
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "supervised.yml"]
    (hr / "astronaut.png").unlink()  # as it advises
    check(load(options_for(tmp_path / "a" / "b", (lr, hr)), TrainOptions, []))


def test_the_check_names_shifts_and_shares_and_writes_nothing(folders, tmp_path, capsys):
    path = options_for(tmp_path / "a" / "b", folders)
    assert check(load(path, TrainOptions, [])) == 0
    printed = capsys.readouterr()
    assert shift_in(printed.err) == pytest.approx(SHIFT, abs=0.5)
    assert "3 images, 0.1 megapixels, 50.0% of the patches, pairs as they are (lr)" in printed.out
    assert not (tmp_path / "a" / "store").exists()
