"""The checks of an installation: that they pass here, and that each of them can fail."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from data.codecs import compress
from data.resize import imresize, modcrop
from evaluation import verify
from evaluation.published import Published
from metrics.psnr_ssim import psnr_y, ssim_y
from utils.errors import UserError
from utils.images import read_image, write_png

HR = {"cat": data.chelsea()[60:151, 110:215], "face": data.astronaut()[60:164, 180:288]}


@pytest.fixture(scope="module")
def matlab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like MATLAB's outputs, but ours, of two small photos; the HR images lie in `hr`."""
    folder = tmp_path_factory.mktemp("matlab")
    for name, hr in HR.items():
        write_png(folder / "hr" / f"{name}.png", hr)
        for scale in (2, 3, 4):
            write_png(folder / f"X{scale}" / f"{name}x{scale}.png", imresize(modcrop(hr, scale), 1 / scale))
    return folder


@pytest.fixture
def cisrnet(tmp_path: Path, monkeypatch) -> Path:
    """A folder like the CISRNet authors' results, and published figures that agree with it."""

    def average(restored: list[np.ndarray]) -> tuple[float, float]:
        pairs = list(zip(restored, originals, strict=True))
        metrics = [(psnr_y(sr, hr, 4, "edsr"), ssim_y(sr, hr, 4, "edsr")) for sr, hr in pairs]
        return tuple(round(float(mean), 3) for mean in np.mean(metrics, axis=0))

    originals = [modcrop(hr, 4) for hr in HR.values()]
    for name, hr in HR.items():
        write_png(tmp_path / "HR" / "Set5" / f"{name}.png", hr)  # a row and a column more than the results
    printed = {}
    for (folder, method), quality in zip(verify.CISRNET_FOLDERS.items(), (10, 20, 30, 40), strict=True):
        restored = [compress(hr, f"jpeg{quality}") for hr in originals]
        for name, sr in zip(HR, restored, strict=True):
            write_png(tmp_path / folder / "Set5" / f"{name}_x4_SR.png", sr)
        psnr, ssim = average(restored)
        task = {"dataset": "Set5", "scale": 4, "compression": "jpeg10", "convention": "edsr"}
        printed[method] = Published(method=method, source="here", psnr=psnr, ssim=ssim, **task)
    monkeypatch.setattr(verify, "lookup", lambda method, *task: printed[method])
    upscaled = [imresize(compress(imresize(hr, 1 / 4), "jpeg10"), 4) for hr in originals]
    monkeypatch.setattr(verify, "BICUBIC", average(upscaled))
    return tmp_path


def test_this_installation_gives_the_recorded_values() -> None:
    checks = list(verify.check_itself())
    assert [str(check) for check in checks if not check.passed] == []
    assert len(checks) == len(verify.PIXELS) + len(verify.METRICS) == 10


def test_drift_of_a_codec_or_a_metric_is_found(monkeypatch) -> None:
    monkeypatch.setattr(verify, "compress", lambda image, spec: compress(image, "jpeg11"))
    monkeypatch.setitem(verify.METRICS, "edsr", (30.592361, 0.884562))
    failures = [str(check) for check in verify.check_itself() if not check.passed]
    assert [failure.split(":")[0] for failure in failures] == [
        "FAIL  self-check, LR by jpeg10",
        "FAIL  self-check, LR by webp20",
        "FAIL  self-check, metrics by edsr",
    ]


def test_matlabs_images_are_compared_value_by_value(matlab: Path, tmp_path: Path) -> None:
    lines = [str(check) for check in verify.check_matlab(matlab, matlab / "hr")]
    assert lines == [
        f"PASS  imresize as MATLAB's, Set5 1/{scale}: 0 of {values} values in 2 images differ"
        for scale, values in (
            (2, 3 * (45 * 52 + 52 * 54)),
            (3, 3 * (30 * 35 + 34 * 36)),
            (4, 3 * (22 * 26 + 26 * 27)),
        )
    ]
    shutil.copytree(matlab, tmp_path, dirs_exist_ok=True)
    changed = read_image(tmp_path / "X3" / "catx3.png")
    changed[4, 5] ^= 1
    write_png(tmp_path / "X3" / "catx3.png", changed)
    write_png(tmp_path / "X2" / "catx2.png", HR["cat"])  # another size: differs as a whole
    half, third, quarter = verify.check_matlab(tmp_path, tmp_path / "hr")
    assert (half.passed, third.passed, quarter.passed) == (False, False, True)
    assert half.found.startswith(f"{3 * 45 * 52} of ") and third.found.startswith("3 of ")


def test_cisrnets_results_are_scored_to_the_printed_precision(cisrnet: Path, monkeypatch) -> None:
    checks = list(verify.check_cisrnet(cisrnet))
    assert len(checks) == 5 and all(check.passed for check in checks)
    right = verify.lookup
    wrong = replace(right("RCAN"), ssim=right("RCAN").ssim + 0.001)
    monkeypatch.setattr(verify, "lookup", lambda method, *task: wrong if method == "RCAN" else right(method))
    monkeypatch.setattr(verify, "BICUBIC", (verify.BICUBIC[0] - 0.001, verify.BICUBIC[1]))
    failures = [check for check in verify.check_cisrnet(cisrnet) if not check.passed]
    assert [check.name for check in failures] == [
        "CISRNet's Table 1, RCAN, Set5 x4",
        "bicubic made here, Set5 x4",
    ]
    assert f"(wanted {wrong.psnr:.3f}/{wrong.ssim:.3f})" in failures[0].found


def test_the_status_says_whether_all_that_was_checked_agrees(
    matlab: Path, cisrnet: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)  # no reference data where it looks by default
    monkeypatch.setattr(verify, "check_itself", lambda: iter(()))
    by_matlab = ["--matlab-set5", str(matlab), "--set5-hr", str(matlab / "hr")]
    assert verify.main([]) == 0
    needed = capsys.readouterr().out
    assert "datasets/reference/matlab_imresize_Set5/X2/babyx2.png" in needed
    assert "datasets/reference/cisrnet_paper_x4_jpeg10/CISR/Set5/baby_x4_SR.png" in needed
    assert verify.main(by_matlab) == 0
    out = capsys.readouterr().out
    assert (out.count("PASS"), out.count("not checked")) == (3, 1)
    (tmp_path / "datasets" / "reference").mkdir(parents=True)
    (tmp_path / "datasets" / "reference" / "cisrnet_paper_x4_jpeg10").symlink_to(cisrnet)
    assert verify.main(by_matlab) == 0  # found by itself
    assert capsys.readouterr().out.count("PASS") == 8
    monkeypatch.setattr(verify, "BICUBIC", (20.0, 0.5))
    assert verify.main(by_matlab) == 1
    assert "1 of the checks failed" in capsys.readouterr().out


def test_folders_that_are_missing_or_incomplete_are_mistakes(matlab: Path, cisrnet: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere"):
        list(verify.check_cisrnet(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere"):
        list(verify.check_matlab(tmp_path / "nowhere", matlab / "hr"))
    (cisrnet / "RDN" / "Set5" / "cat_x4_SR.png").unlink()
    with pytest.raises(UserError, match=r"HR/Set5/cat\.png: no partner"):
        list(verify.check_cisrnet(cisrnet))
    with pytest.raises(UserError, match=r"hr/face\.png: no partner"):
        write_png(tmp_path / "X2" / "catx2.png", HR["cat"])
        list(verify.check_matlab(tmp_path, matlab / "hr"))
