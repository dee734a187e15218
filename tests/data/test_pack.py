"""Packs of photographs: their size, what is lost, how training reads them, and what is refused."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from data.archives import ArchiveError, DamagedArchiveError
from data.datasets import PatchDataset
from data.options import TrainDataOptions
from data.pack import LEAST_SIDE, jpeg_444, pack
from data.packed import unpacked
from data.prepare import prepare_for
from data.resize import imresize
from data.store import source_images
from evaluation.metrics import psnr_rgb
from utils.errors import UserError
from utils.images import decode_image, image_size, list_images, write_png

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hr")
    photos = {"a": skimage.data.astronaut(), "b": skimage.data.coffee(), "c": skimage.data.chelsea()[:200, :260]}
    for name, photo in photos.items():
        write_png(folder / f"{name}.png", photo)
    return folder


def write(folder, archive, name="pack.tar"):
    path = folder / name
    path.write_bytes(archive)
    return path


def test_a_pack_fits_keeps_every_photograph_and_is_the_same_each_time(folder, tmp_path):
    archive = pack([folder], 0.12)
    assert 0.8 * 0.12e6 < len(archive) <= 0.12e6
    assert pack([folder], 0.12) == archive
    path = write(tmp_path, archive)
    images = list_images(unpacked(path))
    assert [image.name for image in images] == ["00001.jpg", "00002.jpg", "00003.jpg"]
    sizes = [image_size(image) for image in images]
    assert sizes[0][0] < 400 and min(min(size) for size in sizes) >= LEAST_SIDE
    with tarfile.open(path) as opened:
        sources = json.load(opened.extractfile("sources.json"))
    assert sources["00002.jpg"] == {"from": f"{folder.name}/b.png", "size": [600, 400]}


def test_with_room_enough_photographs_are_shrunk_a_little_and_lose_nothing_that_is_seen(folder, tmp_path):
    images = list_images(unpacked(write(tmp_path, pack([folder], 10))))
    shrunk = imresize(skimage.data.astronaut(), 0.9)
    packed = decode_image(images[0].read_bytes(), "a", ("JPEG",))
    assert packed.shape == shrunk.shape
    assert psnr_rgb(packed, shrunk) > 40


def test_colours_are_as_fine_as_brightness():
    """4:2:0 would spread the colour of single columns over their neighbours."""
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 200, 200
    decoded = decode_image(jpeg_444(stripes, 95), "stripes", ("JPEG",))
    assert np.abs(decoded.astype(int) - stripes).mean() < 8


def test_what_cannot_fit_is_refused_and_the_advice_is_true(folder):
    with pytest.raises(UserError, match=r"3 photographs do not fit into 0.01 MB: .* take ([\d.]+) MB") as error:
        pack([folder], 0.01)
    needed = float(str(error.value).split(" take ")[1].split(" MB")[0])
    assert len(pack([folder], needed + 0.05)) <= (needed + 0.05) * 1e6


def test_training_takes_it_as_a_folder_also_beside_others(folder, tmp_path):
    path = write(tmp_path, pack([folder], 0.12))
    options = TrainDataOptions(hr=path, compressions=("jpeg10",), patch_size=32, workers=0)
    prepare_for(options, 2, jobs=1, progress=False)
    assert options.store == tmp_path / "pack.tar.prepared"
    assert PatchDataset(options, 2, seed=0)[0]["hr"].shape == (64, 64, 3)
    names = [image.name for image in source_images([path, folder])]
    assert len(names) == len(set(names)) == 6


def test_a_changed_pack_is_unpacked_anew(folder, tmp_path):
    path = write(tmp_path, pack([folder], 0.12))
    first = unpacked(path)
    write(tmp_path, pack([folder], 0.2))
    second = unpacked(path)
    assert first != second and image_size(list_images(first)[0]) != image_size(list_images(second)[0])


def tar_of(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


PHOTO = jpeg_444(skimage.data.coffee()[:50, :60], 95)


@pytest.mark.parametrize(
    ("members", "error", "said"),
    [
        ([("images/a.jpg", PHOTO), ("images/../../b.jpg", PHOTO)], ArchiveError, "written outside"),
        ([("images/a.jpg", PHOTO), ("/b.jpg", PHOTO)], ArchiveError, "written outside"),
        ([("images/a.jpg", PHOTO), ("images/b.jpg", None)], ArchiveError, "link or a device"),
        ([("images/a.jpg", b"no image")], ArchiveError, "is not an image"),
        ([("images/a.jpg", PHOTO), ("more/images/a.jpg", PHOTO)], ArchiveError, "two members are called"),
        ([("other/a.jpg", PHOTO)], ArchiveError, "holds no PNG or JPEG files in images/"),
    ],
)
def test_refused_packs_leave_nothing(tmp_path, members, error, said):
    path = write(tmp_path, tar_of(members))
    with pytest.raises(error, match=said):
        unpacked(path)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"pack.tar", ".pack.tar.lock"}


def test_a_pack_that_is_cut_short_or_missing(tmp_path):
    path = write(tmp_path, tar_of([("images/a.jpg", PHOTO * 20)])[:3000])
    with pytest.raises(DamagedArchiveError, match="damaged"):
        unpacked(path)
    with pytest.raises(UserError, match=r"none\.tar: cannot be read"):
        unpacked(tmp_path / "none.tar")


def test_the_command(folder, tmp_path):
    def call(*arguments):
        command = [sys.executable, "-m", "data.pack", "--hr", str(folder), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    done = call("--megabytes", "0.2", "--output", str(tmp_path / "a.tar"))
    assert done.returncode == 0 and "3 photographs, 0.2 MB" in done.stdout, done.stderr
    assert (tmp_path / "a.tar").stat().st_size <= 200_000
    again = call("--megabytes", "0.2", "--output", str(tmp_path / "a.tar"))
    assert again.returncode == 2 and "is there already" in again.stderr
    named = call("--output", str(tmp_path / "a.zip"))
    assert named.returncode == 2 and "must end in .tar" in named.stderr
