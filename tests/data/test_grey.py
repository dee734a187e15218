"""Grey images by each convention, and evaluation sets that are grey."""

import cv2
import numpy as np
import pytest
from skimage.color import rgb2ycbcr

from data.evaluation_sets import items_of, load
from data.grey import GreyError, to_grey
from data.options import EvaluationSetOptions
from utils.images import write_png


def test_conventions_are_matlabs_and_opencvs(photos):
    photo = photos["astronaut"]
    limited, full = to_grey(photo, "bt601_limited", "x"), to_grey(photo, "bt601_full", "x")
    np.testing.assert_array_equal(limited[..., 0], np.floor(rgb2ycbcr(photo)[..., 0] + 0.5))
    np.testing.assert_array_equal(full[..., 2], cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY))
    for grey in (limited, full):
        assert grey.shape == photo.shape and grey.dtype == np.uint8
        np.testing.assert_array_equal(grey, to_grey(grey, "file", "x"))
        np.testing.assert_array_equal(grey, to_grey(grey, "bt601_full", "x"))
    ends = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert to_grey(ends, "bt601_limited", "x")[0, :, 0].tolist() == [16, 235]


def test_files_with_colours_are_refused_by_name(photos):
    with pytest.raises(GreyError, match=r"^photo\.png: has colours.*bt601_full"):
        to_grey(photos["coffee"], "file", "photo.png")


@pytest.mark.parametrize("scale", [1, 2])
def test_a_grey_set_is_grey_before_it_is_compressed(tmp_path, photos, scale):
    write_png(tmp_path / "photo.png", photos["coffee"])
    options = EvaluationSetOptions(name="set", hr=tmp_path, compressions=("jpeg20",), grey="bt601_limited")
    (item,) = items_of(options, scale)
    pair = load(item, scale)
    height, width = (side // scale * scale for side in photos["coffee"].shape[:2])
    np.testing.assert_array_equal(pair.hr, to_grey(photos["coffee"], "bt601_limited", "x")[:height, :width])
    assert (pair.lr == pair.lr[..., :1]).all()
    coded = cv2.imdecode(np.frombuffer(pair.file.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert coded.ndim == 2  # one component in the file
    np.testing.assert_array_equal(coded, pair.lr[..., 0])
    options = options.model_copy(update={"grey": "file"})
    with pytest.raises(GreyError, match=r"photo\.png"):
        load(items_of(options, scale)[0], scale)
