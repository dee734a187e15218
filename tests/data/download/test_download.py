"""`python -m data.download`: sets of single files, of the user's own and of scikit-image; mistakes in one line."""

import fcntl
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from data.download import catalogue as download
from data.download.__main__ import main
from tests.data.download.made_up import PNG, tree
from utils.errors import UserError
from utils.images import read_image

REPOSITORY = Path(__file__).parents[3]


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
