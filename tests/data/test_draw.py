"""data.draw: images that are the same for a seed, of every kind, and a command that writes them."""

import numpy as np
import pytest

from data.draw import HEIGHT, KINDS, WIDTH, draw, main
from utils.errors import UserError
from utils.images import read_image


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_every_kind_is_drawn_and_repeats(number):
    image = draw(3, number)
    assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 2
    assert np.array_equal(image, draw(3, number))
    assert not np.array_equal(image, draw(4, number))


def test_the_command_writes_what_draw_makes(tmp_path):
    assert main(["--output", str(tmp_path / "new" / "drawn"), "--count", "2", "--seed", "5"]) == 0
    paths = sorted((tmp_path / "new" / "drawn").iterdir())
    assert [path.name for path in paths] == ["drawn_5_0000.png", "drawn_5_0001.png"]
    assert np.array_equal(read_image(paths[1]), draw(5, 1))


def test_no_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="--count"):
        main(["--output", str(tmp_path), "--count", "0"])
