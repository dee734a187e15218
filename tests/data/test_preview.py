"""data.preview: the sheet shows the pairs that a training draws."""

import numpy as np
import pytest

from data.datasets import PatchDataset
from data.options import TrainDataOptions
from data.prepare import prepare_for
from data.preview import main, sheet
from utils.errors import UserError
from utils.images import read_image
from utils.options import validate

SPECS = ["jpeg10", "webp20", "none"]


@pytest.fixture(scope="module")
def dataset(photo_folder, tmp_path_factory):
    store = tmp_path_factory.mktemp("preview") / "store"
    values = {"hr": str(photo_folder), "prepared": str(store), "compressions": SPECS, "patch_size": 16}
    options = validate({**values, "compress": "on_the_fly"}, TrainDataOptions, "test")
    prepare_for(options, 2, jobs=1, progress=False)
    return PatchDataset(options, 2, seed=3)


def test_a_sample_is_what_the_batch_holds(dataset):
    batch = dataset.__getitems__([5, 9])
    for place, k in enumerate((5, 9)):
        sample = dataset.sample(k)
        assert np.array_equal(sample.lr, batch["lr"][place]) and np.array_equal(sample.hr, batch["hr"][place])
        assert sample.compression in SPECS and sample.image in dataset.sources[0].names


def test_the_sheet_holds_every_pair(dataset):
    samples = [dataset.sample(k) for k in range(5)]
    page = sheet(samples, across=2)
    side = 32 * 6  # HR patches of 32, enlarged to at least 192
    assert page.shape == (3 * (side + 18 + 8) + 8, 2 * (2 * side + 16) + 8, 3)
    hr = samples[3].hr.repeat(6, 0).repeat(6, 1)
    top, left = 8 + 1 * (side + 26) + 18, 8 + 1 * (2 * side + 16) + side
    assert np.array_equal(page[top : top + side, left : left + side], hr)


def test_the_command(tmp_path, photo_folder):
    file = tmp_path / "o.yml"
    file.write_text(
        f"generator: {{type: cisrnet, scale: 2}}\nseed: 4\ndata: {{train: {{hr: {photo_folder}, patch_size: 16, "
        f"prepared: {tmp_path / 'store'}, compressions: [jpeg20..40], compress: on_the_fly}}}}\n"
    )
    assert main(["--options", str(file), "--output", str(tmp_path / "pairs.png"), "--count", "3"]) == 0
    assert read_image(tmp_path / "pairs.png").shape[2] == 3
    with pytest.raises(UserError, match=r"\.png"):
        main(["--options", str(file), "--output", str(tmp_path / "pairs.jpg")])
