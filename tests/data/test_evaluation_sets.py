"""Evaluation sets: degraded here, or pairs of folders; partners are checked before anything is read."""

import numpy as np
import pytest

from data.codecs import encode
from data.evaluation_sets import EvaluationSetError, items_of, load
from data.options import EvaluationSetOptions
from data.pairs import PairError
from data.resize import imresize, modcrop
from utils.images import ImageError, write_png
from utils.options import OptionsError, validate


def options(**values):
    return validate({"name": "set", **{k: v if isinstance(v, list) else str(v) for k, v in values.items()}},
                    EvaluationSetOptions, "test")  # fmt: skip


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_degraded_here(photo_folder, photos, scale):
    items = items_of(options(hr=photo_folder, compressions=["none", "jpeg10"]), scale)
    assert [(item.compression, item.image) for item in items[::3]] == [("none", "astronaut"), ("jpeg10", "astronaut")]
    for item in items:
        pair = load(item, scale)
        hr = modcrop(photos[item.image], scale)
        clean = imresize(hr, 1 / scale) if scale > 1 else hr
        np.testing.assert_array_equal(pair.hr, hr)
        assert pair.hr.shape[0] == pair.lr.shape[0] * scale and pair.hr.shape[1] == pair.lr.shape[1] * scale
        if item.compression == "none":
            np.testing.assert_array_equal(pair.lr, clean)
        else:
            assert pair.bits_per_pixel == 8 * len(encode(clean, "jpeg10")) / (clean.shape[0] * clean.shape[1])


def test_pairs_of_folders_crop_the_hr_image_by_a_few_pixels(photos, tmp_path):
    write_png(tmp_path / "hr" / "a.png", photos["coffee"])  # 159×161
    write_png(tmp_path / "lr" / "a.png", imresize(modcrop(photos["coffee"], 4), 0.25))
    (item,) = items_of(options(hr=tmp_path / "hr", lr=tmp_path / "lr"), 4)
    pair = load(item, 4)
    np.testing.assert_array_equal(pair.hr, photos["coffee"][:156, :160])
    assert item.compression == "as is" and pair.bits_per_pixel is None


def test_files_without_partner_are_named(photos, tmp_path):
    write_png(tmp_path / "hr" / "a.png", photos["coffee"])
    write_png(tmp_path / "hr" / "b.png", photos["coffee"])
    write_png(tmp_path / "lr" / "a.png", photos["coffee"][:79, :80])
    with pytest.raises(PairError, match=r"1 files have no partner.*b"):
        items_of(options(hr=tmp_path / "hr", lr=tmp_path / "lr"), 2)


@pytest.mark.parametrize("scale", [1, 3, 4])
def test_pairs_of_another_scale_are_refused(photos, tmp_path, scale):
    write_png(tmp_path / "hr" / "a.png", photos["coffee"])
    write_png(tmp_path / "lr" / "a.png", photos["coffee"][:79, :80])
    with pytest.raises(EvaluationSetError, match=r"a\.png.*wrong scale"):
        items_of(options(hr=tmp_path / "hr", lr=tmp_path / "lr"), scale)


def test_two_files_of_one_base_name_are_refused(photos, tmp_path):
    write_png(tmp_path / "a.png", photos["coffee"])
    (tmp_path / "a.jpg").write_bytes(encode(photos["coffee"], "jpeg90"))
    with pytest.raises(PairError, match=r"a\.jpg and a\.png"):
        items_of(options(hr=tmp_path), 2)


def test_missing_folders_and_contradictions_are_refused(tmp_path):
    with pytest.raises(ImageError, match="none"):
        items_of(options(hr=tmp_path / "none"), 2)
    with pytest.raises(OptionsError, match="not both"):
        options(hr=tmp_path, lr=tmp_path, compressions=["jpeg10"])
    with pytest.raises(OptionsError, match="name"):
        validate({"name": "../up", "hr": "x"}, EvaluationSetOptions, "test")


def test_names_with_a_suffix_and_sizes_rounded_up_go_together(photos, tmp_path):
    """As DIV2K ships its pairs, and as MATLAB's imresize makes sizes."""
    write_png(tmp_path / "hr" / "0801.png", photos["coffee"])  # 159×161
    write_png(tmp_path / "lr" / "0801x2.png", imresize(photos["coffee"], 0.5)[:80, :81])
    (item,) = items_of(options(hr=tmp_path / "hr", lr=tmp_path / "lr"), 2)
    pair = load(item, 2)
    assert item.image == "0801" and pair.lr.shape == (79, 80, 3)
    np.testing.assert_array_equal(pair.hr, photos["coffee"][:158, :160])
    write_png(tmp_path / "lr" / "0801_again.png", photos["coffee"])
    with pytest.raises(PairError, match=r"both go with 0801\.png"):
        items_of(options(hr=tmp_path / "hr", lr=tmp_path / "lr"), 2)
