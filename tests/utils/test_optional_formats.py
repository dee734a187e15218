"""utils.optional_formats: with a plugin, its files are images like any other; without, they say what they want."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from utils.images import ImageError, image_size, list_images, read_image
from utils.optional_formats import OPTIONAL, REQUIREMENTS, readable
from utils.photos import read_photo

ROOT = Path(__file__).parents[2]
PHOTO = skimage.data.astronaut()[100:164, 150:246]


@pytest.mark.parametrize(("format", "suffix"), [("HEIF", "heic"), ("JXL", "jxl")])
def test_files_of_an_installed_plugin(tmp_path, format, suffix):
    pytest.importorskip(OPTIONAL[format][0], reason=f"the optional extra of {REQUIREMENTS}")
    assert format in readable()
    path = tmp_path / f"a.{suffix}"
    exif = Image.Exif()
    exif[315] = "Zoe"
    Image.fromarray(PHOTO).save(path, quality=90, exif=exif.tobytes())
    assert np.abs(read_image(path).astype(int) - PHOTO).mean() < 6 and image_size(path) == PHOTO.shape[:2]
    assert list_images(tmp_path) == [path]
    assert b"Zoe" in read_photo(path).exif
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError):
        read_image(path)


STAND_IN = """
from PIL import Image, PpmImagePlugin
def register_heif_opener(**options):
    Image.register_open("HEIF", PpmImagePlugin.PpmImageFile, lambda head: head[:2] == b"P6")
"""


@pytest.mark.parametrize("there", [False, True])
def test_what_becomes_of_a_name_depends_on_the_plugin_alone(tmp_path, there):
    """In a process of its own, with a stand-in for the plugin or with none."""
    Image.fromarray(PHOTO).save(tmp_path / "photo.ppm")
    (tmp_path / "photo.ppm").rename(tmp_path / "IMG.HEIC")
    (tmp_path / "text.heic").write_text("no photo " * 9)
    program = f"""
import importlib.util, sys, types
find, there = importlib.util.find_spec, {{"pillow_heif": True}} if {there} else {{}}
importlib.util.find_spec = lambda name: there.get(name) if name.startswith("pillow_") else find(name)
for name in there:
    sys.modules[name] = types.ModuleType(name)
    exec({STAND_IN!r}, sys.modules[name].__dict__)
from utils.images import SUFFIXES, read_image
print(".heic" in SUFFIXES)
for name in ("IMG.HEIC", "text.heic"):
    try:
        print(read_image({str(tmp_path)!r} + "/" + name).shape)
    except Exception as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    listed, photo, text = done.stdout.splitlines()
    assert listed == str(there)
    if there:
        assert photo == "(64, 96, 3)" and "text.heic: not an image" in text
    else:
        assert (
            photo == "(64, 96, 3)" and f"text.heic: HEIF is read with a plugin: `pip install -r {REQUIREMENTS}`" in text
        )
