"""Pairs in the prepared store: sizes, records, patches, weights, and what makes them anew."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.codecs import compress, encode
from data.datasets import PatchDataset
from data.jpeg_files.quantisation import UNKNOWN, steps_in_file
from data.options import TrainDataOptions
from data.pairs import PairError
from data.pairs.alignment import common_size, shift_between
from data.prepare import prepare_for
from data.resize import imresize
from data.sampling import set_of_sample
from data.store import StoreError, leaf, map_path, open_map, read_manifest
from utils.errors import OptionsError
from utils.images import write_png
from utils.options import validate


def options(folder, **values):
    pairs = [{"lr": str(folder / "lr"), "hr": str(folder / "hr")}]
    return validate({"pairs": pairs, "patch_size": 16, "workers": 0, **values}, TrainDataOptions, "test")


def dataset(given, scale=2, **more):
    prepare_for(given, scale, jobs=1)
    return PatchDataset(given, scale, seed=3, **more)


@pytest.fixture
def folder(photos, tmp_path):
    """Two pairs: a JPEG file and a PNG file as LR."""
    (tmp_path / "lr").mkdir()
    for name in ("coffee", "astronaut"):
        write_png(tmp_path / "hr" / f"{name}.png", photos[name])
    (tmp_path / "lr" / "coffee-small.jpg").write_bytes(encode(imresize(photos["coffee"], 0.5), "jpeg40"))
    write_png(tmp_path / "lr" / "astronautx2.png", imresize(photos["astronaut"], 0.5))
    return tmp_path


def test_patches_of_a_pair_show_one_place_and_tell_the_steps_of_the_file(folder, photos):
    found = dataset(options(folder, flip=False, rotate=False), steps=True)
    steps = {"coffee-small.jpg": steps_in_file((folder / "lr" / "coffee-small.jpg").read_bytes())}
    assert steps["coffee-small.jpg"] != UNKNOWN
    for k in range(20):
        sample = found.sample(k)
        title, name = sample.image.split("/")
        assert title == "lr" and sample.compression == "as is" and sample.steps == steps.get(name, UNKNOWN)
        inner = (slice(4, -4), slice(4, -4))
        error = imresize(sample.hr, 0.5)[inner].astype(float) - sample.lr[inner]
        assert np.abs(error).mean() < (12 if name in steps else 1e-9)
    assert {found.sample(k).image for k in range(2)} == {"lr/coffee-small.jpg", "lr/astronautx2.png"}


def test_the_store_holds_them_as_everything_else(folder):
    given = options(folder)
    dataset(given)
    store = folder / "hr.prepared" / "pairs" / "lr"
    manifest = read_manifest(leaf(store, 2, "as is"))
    assert manifest["encoder"] == "another program" and set(manifest["images"]) == {
        "coffee-small.jpg",
        "astronautx2.png",
    }
    assert leaf(store, 2, "as is").name == "as_is"
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")}
    assert len(before) == 4
    dataset(given)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.npy")} == before
    # Another LR file of the same name, or damage to a map of either kind: both maps of the image, or the one, anew.
    (folder / "lr" / "coffee-small.jpg").write_bytes(
        encode(open_map(map_path(leaf(store, 2, "as is"), "coffee-small.jpg")), "jpeg90")
    )
    map_path(leaf(store, 0, "none"), "astronautx2.png").unlink()
    dataset(given)
    changed = {path.name for path, at in before.items() if path.stat().st_mtime_ns != at}
    assert changed == {"coffee-small.jpg.npy", "astronautx2.png.npy"}
    record = read_manifest(leaf(store, 2, "as is"))["images"]["coffee-small.jpg"]
    assert tuple(record["steps"]) == steps_in_file((folder / "lr" / "coffee-small.jpg").read_bytes())


def test_sizes_that_do_not_fit_are_all_named_and_nothing_is_made(folder, photos, capsys):
    write_png(folder / "lr" / "astronautx2.png", imresize(photos["astronaut"], 0.5)[:-1])
    (folder / "lr" / "coffee-small.jpg").write_bytes(encode(photos["coffee"], "jpeg40"))
    with pytest.raises(StoreError, match="2 of 2 images"):
        dataset(options(folder))
    said = capsys.readouterr().err
    assert "astronautx2.png" in said and "159×161 at ×2 does not make 159×161" in said
    assert not list((folder / "hr.prepared").rglob("*.npy"))


@given(height=st.integers(1, 50), width=st.integers(1, 50), scale=st.integers(1, 4), data=st.data())
def test_less_than_an_lr_pixel_is_cropped_and_more_is_refused(height, width, scale, data):
    more = data.draw(st.tuples(*[st.integers(-2 * scale, 2 * scale)] * 2))
    hr = (height * scale + more[0], width * scale + more[1])
    expected = tuple(min(side, large // scale) for side, large in zip((height, width), hr))
    if max(map(abs, more)) < scale and min(expected) > 0:
        size = common_size("lr", (height, width), "hr", hr, scale)
        assert size == expected and all(large - side * scale in range(2 * scale) for side, large in zip(size, hr))
    else:
        with pytest.raises(PairError, match="wrong scale"):
            common_size("lr", (height, width), "hr", hr, scale)


@settings(max_examples=25, deadline=None)
@given(down=st.integers(-6, 6), right=st.integers(-6, 6), scale=st.sampled_from([1, 2]))
def test_a_shift_is_found_whatever_the_compression_left(photos, down, right, scale):
    photo = photos["chelsea"]
    hr = photo[8:-8, 8:-8]
    seen = photo[8 - down : 120 - down, 8 - right : 121 - right]
    hr, seen = hr[:112, :112], seen[:112, :112]
    lr = compress(imresize(seen, 1 / scale) if scale > 1 else seen, "jpeg20")
    found = shift_between(lr, hr, scale)
    assert np.abs(np.subtract(found, (down, right))).max() <= 0.5


def test_a_plain_image_is_shifted_by_nothing():
    assert shift_between(np.full((40, 40, 3), 9, np.uint8), np.full((80, 80, 3), 200, np.uint8), 2) == (0.0, 0.0)


@given(weights=st.lists(st.floats(0.01, 100), min_size=1, max_size=4), first=st.integers(0, 10**12))
def test_sets_take_turns_by_their_weights_and_leave_no_sample_out(weights, first):
    drawn = [set_of_sample(k, weights) for k in range(first, first + 400)]
    for place, weight in enumerate(weights):
        counts = [count for number, count in drawn if number == place]
        assert counts == list(range(counts[0], counts[0] + len(counts))) if counts else True
        assert abs(len(counts) - 400 * weight / sum(weights)) <= len(weights) + 400e-6


def test_the_first_samples_of_each_set_are_its_first():
    assert [set_of_sample(k, (1.0, 1.0)) for k in range(6)] == [(1, 0), (0, 0), (1, 1), (0, 1), (1, 2), (0, 2)]


def test_both_kinds_are_mixed_by_weights(folder, photo_folder):
    mixed = {"hr": str(photo_folder), "prepared": str(folder / "store"), "compressions": ["webp20"]}
    pairs = [{"lr": str(folder / "lr"), "hr": str(folder / "hr"), "weight": 3}]
    found = dataset(options(folder, **mixed, weight=1, pairs=pairs))
    kinds = [found.sample(k).compression for k in range(40)]
    assert kinds.count("as is") == 30 and kinds.count("webp20") == 10
    equal = dataset(options(folder, **mixed))  # without weights: by their numbers, 3 and 2
    assert [equal.sample(k).compression for k in range(40)].count("as is") == 16


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"pairs": []}, "at least 1 item"),
        ({"hr": "x"}, "at least 1 item"),
        ({"compressions": ["jpeg10"]}, "give a folder of HR images"),
        ({"weight": 0}, "greater than 0"),
        ({"weight": 1}, "mixes images"),
    ],
)
def test_impossible_options_are_refused(tmp_path, values, what):
    with pytest.raises(OptionsError, match=what):
        options(tmp_path, **values)


def test_profiles_and_subsampling_of_a_file_change_nothing_but_its_pixels(folder, photos):
    file = io.BytesIO()
    small = Image.fromarray(imresize(photos["coffee"], 0.5))
    small.save(file, "JPEG", quality=50, subsampling="4:4:4", icc_profile=b"x" * 200, optimize=True)
    (folder / "lr" / "coffee-small.jpg").write_bytes(file.getvalue())
    dataset(options(folder))
    stored = open_map(map_path(leaf(folder / "hr.prepared" / "pairs" / "lr", 2, "as is"), "coffee-small.jpg"))
    expected = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    # The HR image is 159×161, so a row and a column of the LR image, which were rounded up, have no whole partner.
    np.testing.assert_array_equal(stored, expected[:79, :80])
