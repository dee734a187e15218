"""Image files by Pillow, for the tests of photos."""

import pytest
from PIL import Image


@pytest.fixture
def file(tmp_path):
    """Writes an image by Pillow and returns its path."""

    def write(image, suffix="png", **options):
        path = tmp_path / f"photo.{suffix}"
        image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        image.save(path, **options)
        return path

    return write
