import fcntl
import io
import subprocess
import sys
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from data.download import catalogue as download
from data.download import fetch
from data.download.__main__ import main
from utils.errors import UserError
from utils.images import read_image

REPOSITORY = Path(__file__).parents[3]
PIXELS = skimage.data.coffee()[:12, :20]
PNG = cv2.imencode(".png", PIXELS[..., ::-1])[1].tobytes()
JPEG = cv2.imencode(".jpg", PIXELS[..., ::-1])[1].tobytes()


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        self.server.asked.append(self.path)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that a local server publishes, with its address and the list of what was asked for."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(fetch, "FIRST_WAIT_S", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        server.asked, server.folder = [], folder
        server.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


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


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


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


def test_the_catalogue_is_sound():
    for archive in (archive for archives in download.ARCHIVES.values() for archive in archives):
        assert archive.base.startswith("https://") and archive.base.endswith("/")
        assert archive.file.endswith((".zip", ".tgz", ".tar"))
        assert archive.sha256 is None or len(bytes.fromhex(archive.sha256)) == 32
    assert len(set(download.KODAK_FILES)) == 24


def test_kodak_goes_on_after_a_failure(site, tmp_path):
    for name in download.KODAK_FILES:
        (site.folder / name).write_bytes(PNG)
    (site.folder / "kodim20.png").write_text("<html>an error page with status 200</html>")
    root = tmp_path / "datasets"
    arguments = ["kodak", "--root", str(root), "--url", site.address]
    with pytest.raises(UserError, match=r"kodim20\.png: what the server sent is not an image"):
        main(arguments)
    assert not (root / "Kodak24").exists()
    (site.folder / "kodim20.png").write_bytes(PNG)
    del site.asked[:]
    assert main(arguments) == 0
    assert site.asked == [f"/kodim{number}.png" for number in range(20, 25)]
    assert tree(root) == [*(f"Kodak24/{name}" for name in download.KODAK_FILES), "downloads/.lock"]
    assert main(arguments) == 0
    assert len(site.asked) == 5


def test_a_folder_that_holds_something_else_is_not_touched(site, tmp_path):
    (tmp_path / "Kodak24").mkdir()
    (tmp_path / "Kodak24" / "mine.png").write_bytes(PNG)
    with pytest.raises(UserError, match=r"Kodak24: holds 1 images, expected 24: move the folder away"):
        main(["kodak", "--root", str(tmp_path), "--url", site.address])
    assert site.asked == []


def test_two_downloads_at_once(tmp_path):
    (tmp_path / "downloads").mkdir()
    with (tmp_path / "downloads" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="in use by another process"):
            main(["kodak", "--root", str(tmp_path), "--url", "http://127.0.0.1:9"])


def test_manga109_says_where_it_is_to_be_had(tmp_path, capsys):
    assert main(["manga109", "--root", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "http://www.manga109.org" in out
    assert str(tmp_path / "Manga109") in out
    (tmp_path / "Manga109").mkdir()
    for number in range(109):
        (tmp_path / "Manga109" / f"{number}.png").write_bytes(PNG)
    assert main(["manga109", "--root", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", ["quickstart", "manga109"])
def test_url_is_refused_where_nothing_is_downloaded(tmp_path, name):
    with pytest.raises(UserError, match="--url"):
        main([name, "--root", str(tmp_path), "--url", "http://127.0.0.1/"])


def test_a_root_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        main(["kodak", "--root", str(tmp_path / "file" / "datasets")])


def test_quickstart_writes_the_photographs_of_the_wheel(tmp_path, capsys):
    assert main(["quickstart", "--root", str(tmp_path)]) == 0
    photographs = {
        "valid/astronaut.png": skimage.data.astronaut(),
        "train/brick.png": skimage.data.brick(),
        "train/camera.png": skimage.data.camera(),
        "train/coins.png": skimage.data.coins(),
        "train/grass.png": skimage.data.grass(),
        "train/gravel.png": skimage.data.gravel(),
        "train/motorcycle.png": skimage.data.stereo_motorcycle()[0],
        "train/rocket.png": skimage.data.rocket(),
        "train/chelsea.png": skimage.data.chelsea(),
        "valid/coffee.png": skimage.data.coffee(),
    }
    assert tree(tmp_path / "quickstart") == sorted(photographs)
    for name, pixels in photographs.items():
        rgb = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)
        np.testing.assert_array_equal(read_image(tmp_path / "quickstart" / name), rgb)

    (tmp_path / "quickstart" / "train" / "coins.png").unlink()
    before = (tmp_path / "quickstart" / "valid" / "coffee.png").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["quickstart", "--root", str(tmp_path)]) == 0
    assert "1 images written" in capsys.readouterr().out
    assert (tmp_path / "quickstart" / "valid" / "coffee.png").stat().st_mtime_ns == before


def test_quickstart_that_is_there_already_imports_nothing_heavy(tmp_path):
    assert main(["quickstart", "--root", str(tmp_path)]) == 0
    code = (
        "import sys; from data.download.__main__ import main; "
        f"assert main(['quickstart', '--root', {str(tmp_path)!r}]) == 0; "
        "print(sorted({'numpy', 'cv2', 'PIL', 'skimage', 'torch', 'ssl', 'tqdm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "already there" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_command_prints_one_line_and_status_2(tmp_path):
    command = [
        sys.executable,
        "-m",
        "data.download",
        "kodak",
        "--root",
        str(tmp_path),
        "--url",
        "file:///etc",
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: file:///etc/kodim01.png: not a usable address")
    assert done.stderr.count("\n") == 1
