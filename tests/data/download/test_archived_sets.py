"""Sets that are published as archives: what is fetched, unpacked and kept, and which archives are refused."""

import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import pytest

from data.download import catalogue as download
from data.download.__main__ import main
from tests.data.download.made_up import PIXELS, PNG, tree
from utils.errors import UserError

JPEG = cv2.imencode(".jpg", PIXELS[..., ::-1])[1].tobytes()


def publish_div2k(folder: Path, train=800):
    for name, first, count in (("DIV2K_train_HR", 1, train), ("DIV2K_valid_HR", 801, 100)):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}/", b"")
            for number in range(first, first + count):
                archive.writestr(f"{name}/{number:04d}.png", PNG)


def publish_benchmarks(folder: Path):
    sets = {"Set5": 5, "Set14": 14, "Urban100": 100, "B100": 100}
    with tarfile.open(folder / "benchmark.tar", "w") as archive:
        for name, count in sets.items():
            for number in range(count):
                for place in (f"HR/{number:03d}.png", f"LR_bicubic/X2/{number:03d}x2.png"):
                    info = tarfile.TarInfo(f"benchmark/{name}/{place}")
                    info.size = len(PNG)
                    archive.addfile(info, io.BytesIO(PNG))
    with tarfile.open(folder / "BSDS300-images.tgz", "w:gz") as archive:
        for part, count in (("train", 200), ("test", 100)):
            for number in range(count):
                info = tarfile.TarInfo(f"BSDS300/images/{part}/{number}.jpg")
                info.size = len(JPEG)
                archive.addfile(info, io.BytesIO(JPEG))


def test_div2k(site, tmp_path, capsys):
    publish_div2k(site.folder)
    root = tmp_path / "datasets"
    arguments = ["div2k", "--root", str(root), "--url", site.address + "/"]
    assert main(arguments) == 0
    assert "800 images" in capsys.readouterr().out
    wanted = [f"DIV2K/DIV2K_train_HR/{number:04d}.png" for number in range(1, 801)]
    wanted += [f"DIV2K/DIV2K_valid_HR/{number:04d}.png" for number in range(801, 901)]
    assert tree(root) == [*wanted, "downloads/.lock"]
    assert site.asked == ["/DIV2K_train_HR.zip", "/DIV2K_valid_HR.zip"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("already there") == 2
    assert len(site.asked) == 2


def test_benchmarks(site, tmp_path):
    publish_benchmarks(site.folder)
    root = tmp_path / "datasets"
    assert main(["benchmarks", "--root", str(root), "--url", site.address, "--keep-archive"]) == 0
    counts = {folder.name: len(list(folder.iterdir())) for folder in root.iterdir() if folder.name != "downloads"}
    assert counts == {"Set5": 5, "Set14": 14, "Urban100": 100, "B100": 100}
    assert (root / "B100" / "0.jpg").read_bytes() == JPEG
    assert (root / "Set5" / "000.png").read_bytes() == PNG
    assert tree(root / "downloads") == [".lock", "BSDS300-images.tgz", "benchmark.tar"]


def test_only_what_is_missing_is_got_and_an_archive_put_there_by_hand_is_used(site, tmp_path):
    publish_benchmarks(site.folder)
    root = tmp_path / "datasets"
    (root / "downloads").mkdir(parents=True)
    (site.folder / "benchmark.tar").rename(root / "downloads" / "benchmark.tar")
    (root / "B100").mkdir()
    for number in range(100):
        (root / "B100" / f"{number}.png").write_bytes(PNG)
    assert main(["benchmarks", "--root", str(root), "--url", site.address]) == 0
    assert site.asked == []
    assert len(list((root / "Urban100").iterdir())) == 100
    assert (root / "downloads" / "benchmark.tar").exists()


def test_one_archive_that_fails_does_not_stop_the_others(site, tmp_path):
    publish_benchmarks(site.folder)
    (site.folder / "benchmark.tar").unlink()
    root = tmp_path / "datasets"
    with pytest.raises(UserError, match=r"benchmark\.tar: the server answers 404 .*put benchmark\.tar into") as caught:
        main(["benchmarks", "--root", str(root), "--url", site.address])
    assert "\n" not in str(caught.value)
    assert tree(root)[:1] == ["B100/0.jpg"]
    assert not (root / "Set5").exists()


def test_a_truncated_archive_is_deleted_and_the_next_run_gets_it_anew(site, tmp_path):
    publish_div2k(site.folder)
    whole = (site.folder / "DIV2K_valid_HR.zip").read_bytes()
    (site.folder / "DIV2K_valid_HR.zip").write_bytes(whole[: len(whole) // 2])
    root = tmp_path / "datasets"
    arguments = ["div2k", "--root", str(root), "--url", site.address]
    with pytest.raises(UserError, match=r"DIV2K_valid_HR\.zip: damaged.*deleted, run again"):
        main(arguments)
    assert len(list((root / "DIV2K" / "DIV2K_train_HR").iterdir())) == 800
    assert [path.name for path in (root / "DIV2K").iterdir()] == ["DIV2K_train_HR"]
    assert tree(root / "downloads") == [".lock"]
    (site.folder / "DIV2K_valid_HR.zip").write_bytes(whole)
    assert main(arguments) == 0
    assert len(list((root / "DIV2K" / "DIV2K_valid_HR").iterdir())) == 100


def test_an_archive_that_lacks_an_image_is_kept_and_said_so(site, tmp_path):
    publish_div2k(site.folder, train=799)
    root = tmp_path / "datasets"
    with pytest.raises(UserError, match=r"799 images in DIV2K_train_HR, expected 800.*kept"):
        main(["div2k", "--root", str(root), "--url", site.address])
    assert tree(root / "downloads") == [".lock", "DIV2K_train_HR.zip"]
    assert not (root / "DIV2K" / "DIV2K_train_HR").exists()


def test_the_published_digest_is_asked_of_the_published_address_only(site, tmp_path, monkeypatch):
    publish_div2k(site.folder)
    published = download.Archive(
        site.address + "/", "DIV2K_valid_HR.zip", download.ARCHIVES["div2k"][1].folders, sha256="0" * 64
    )
    monkeypatch.setitem(download.ARCHIVES, "div2k", (published,))
    with pytest.raises(UserError, match="not the published file"):
        main(["div2k", "--root", str(tmp_path / "datasets")])
    assert main(["div2k", "--root", str(tmp_path / "datasets"), "--url", site.address]) == 0


def test_the_sets_of_jpeg_artefact_removal(site, tmp_path):
    with zipfile.ZipFile(site.folder / "main.zip", "w") as archive:
        for folder, count in (("LIVE1_color", 29), ("LIVE1_gray", 29), ("Classic5", 5), ("Real", 6)):
            for number in range(count):
                archive.writestr(f"FBCNN-main/testsets/{folder}/{number}.png", PNG)
    with zipfile.ZipFile(site.folder / "rgb8bit.zip", "w") as archive:
        for number in range(15):
            archive.writestr(f"{'' if number % 2 else 'rgb8bit/'}{number}.ppm", b"P6 1 1 255\n\x00\x01\x02")
        archive.writestr("__MACOSX/._0.ppm", b"resource fork")
    with tarfile.open(site.folder / "BSR_bsds500.tgz", "w:gz") as archive:
        for folder, count in (("test", 200), ("train", 200), ("val", 100)):
            for number in range(count):
                info = tarfile.TarInfo(f"BSR/BSDS500/data/images/{folder}/{number}.jpg")
                info.size = len(JPEG)
                archive.addfile(info, io.BytesIO(JPEG))
    root = tmp_path / "datasets"
    for name in ("live1", "classic5", "icb", "bsds500"):
        assert main([name, "--root", str(root), "--url", site.address]) == 0
    counts = {folder.name: len(list(folder.iterdir())) for folder in root.iterdir() if folder.name != "downloads"}
    assert counts == {"LIVE1": 29, "Classic5": 5, "ICB": 15, "BSDS500_test": 200}
    assert download.name_of(Path("datasets/LIVE1")) == "live1"
    assert download.name_of(Path("datasets/Urban100")) == "benchmarks"


def test_urban100_alone(site, tmp_path):
    publish_benchmarks(site.folder)
    assert main(["urban100", "--root", str(tmp_path), "--url", site.address]) == 0
    assert len(list((tmp_path / "Urban100").iterdir())) == 100 and not (tmp_path / "Set5").exists()
