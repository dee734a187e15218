"""Check this installation against reference data: `python -m evaluation.verify`.

It checks three silent causes of scores that differ from those of papers: resizing other than MATLAB's, codecs with
other pixels, and metrics of another convention. Some checks need no files; the others name the files that they need,
which this project may not distribute.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.codecs import compress
from data.resize import imresize, modcrop
from evaluation.folder_scores import ScoreError, average, check_sizes, pair_files, score_pair
from evaluation.published import lookup
from metrics.psnr_ssim import psnr_y, ssim_y
from utils.cli import run
from utils.images import list_images, read_image

REFERENCE = Path("datasets/reference")
MATLAB_SET5 = REFERENCE / "matlab_imresize_Set5"
SET5_HR = Path("datasets/Set5")
CISRNET_RESULTS = REFERENCE / "cisrnet_paper_x4_jpeg10"

# Recorded with OpenCV 5.0.0.93, Pillow 13.0 and NumPy 2.4, when the checks against MATLAB and CISRNet passed.
PIXELS = {  # SHA-256 of uint8 HWC; the LR image is the photo at 1/2
    "photo": "0ce2b51640b9c95f19617f03eabf40c3f0368589cc1ee1190b70966165ac184f",
    "imresize 1/2": "2356f976210326d9da0084e51ae5eef686960868631bf2ff18b0d4e8e7d4a8d0",
    "imresize 1/3": "ec9c2440bc955e42a2e124e2383abe5924cbd3eacba4978076deab713d3346c2",
    "imresize 1/4": "5c42e9762536e70034d6aac632d789664d63b4d080db53ac6a3a8913dee849ae",
    "imresize 1/2, then 2": "2b046f1a0447e5f85bd722dce1eb39b410bac1cdd6c04118bb29ada8d0903a90",
    "LR by jpeg10": "9b651f98eeea239e52288596b0ea9ec4a9277e78ce23ebb5437575df55a3cfbd",
    "LR by webp20": "4de47621d2cc24883021db6046c8b795921e828a4af9fd2582cd8b6332c905ab",
}
METRICS = {  # PSNR and SSIM of Y between the photo and `imresize 1/2, then 2`, border 2
    "matlab": (30.592366, 0.885872),
    "edsr": (30.592361, 0.884559),
    "cisr_psi": (30.592366, 0.885857),
}
CISRNET_FOLDERS = {"VDSR": "VDSR", "RDN": "RDN", "RCAN": "RCAN", "CISR": "CISRNet"}  # folder: method
BICUBIC = (23.968, 0.620)  # of Set5 at CISRNet's task: MATLAB down, OpenCV JPEG 10, MATLAB up; not published


@dataclass(frozen=True)
class Check:
    """One line of the printed list."""

    passed: bool
    name: str
    found: str

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.name}: {self.found}"


def main(argv: list[str]) -> int:
    """Print a line for each check. Returns 0: all that could be checked agrees; 1: some differs."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.verify", description=__doc__.partition("\n")[0])
    parser.add_argument("--matlab-set5", type=Path, metavar="DIR", help=f"default {MATLAB_SET5}")
    parser.add_argument("--set5-hr", type=Path, metavar="DIR", help=f"default {SET5_HR}")
    parser.add_argument("--cisrnet-results", type=Path, metavar="DIR", help=f"default {CISRNET_RESULTS}")
    args = parser.parse_args(argv)

    failed = _print_all(check_itself())
    matlab, hr = args.matlab_set5 or MATLAB_SET5, args.set5_hr or SET5_HR
    if args.matlab_set5 or matlab.is_dir():
        failed += _print_all(check_matlab(matlab, hr))
    else:
        print(
            f"----  MATLAB's imresize of Set5: not checked; needs {matlab}/X2/babyx2.png … X4/womanx4.png and "
            f"{hr}/baby.png … (in the EDSR authors' benchmark.tar: Set5/LR_bicubic and Set5/HR), "
            "or --matlab-set5 DIR --set5-hr DIR"
        )
    results = args.cisrnet_results or CISRNET_RESULTS
    if args.cisrnet_results or results.is_dir():
        failed += _print_all(check_cisrnet(results))
    else:
        print(
            f"----  CISRNet's Table 1: not checked; needs the authors' x4 results as {results}/CISR/Set5/"
            "baby_x4_SR.png …, beside them VDSR, RDN, RCAN and HR/Set5/baby.png …, or --cisrnet-results DIR"
        )
    if failed:
        print(f"{failed} of the checks failed: figures made here may differ from published ones")
        return 1
    return 0


def _print_all(checks: Iterator[Check]) -> int:
    """Print each check when it is done; return the number that failed."""
    failed = 0
    for check in checks:
        print(check, flush=True)
        failed += not check.passed
    return failed


def check_itself() -> Iterator[Check]:
    """Compare resizing, codecs and metrics on scikit-image's photo `coffee` with recorded values."""
    from skimage.data import coffee

    photo = coffee()
    lr = imresize(photo, 1 / 2)
    images = {
        "photo": photo,
        "imresize 1/2": lr,
        "imresize 1/3": imresize(photo, 1 / 3),
        "imresize 1/4": imresize(photo, 1 / 4),
        "imresize 1/2, then 2": imresize(lr, 2),
        "LR by jpeg10": compress(lr, "jpeg10"),
        "LR by webp20": compress(lr, "webp20"),
    }
    for name, image in images.items():
        same = hashlib.sha256(image.tobytes()).hexdigest() == PIXELS[name]
        found = "the recorded pixels" if same else "other pixels than recorded: a library has changed"
        yield Check(same, f"self-check, {name}", found)
    upscaled = images["imresize 1/2, then 2"]
    for convention, recorded in METRICS.items():
        figures = psnr_y(photo, upscaled, 2, convention), ssim_y(photo, upscaled, 2, convention)
        same = bool(np.allclose(figures, recorded, rtol=0, atol=1e-6))
        yield Check(same, f"self-check, metrics by {convention}", _against("{:.6f} dB, {:.6f}", figures, recorded))


def check_matlab(folder: Path, hr_folder: Path) -> Iterator[Check]:
    """Compare `imresize` with MATLAB's LR images of Set5, `folder`/X2/babyx2.png and so on, value by value.

    Raises ImageError and ScoreError: a folder is missing, or its files have no originals.
    """
    originals = list_images(hr_folder)
    for scale in (2, 3, 4):
        differing = values = 0
        pairs, lonely = pair_files(list_images(folder / f"X{scale}"), originals)
        if lonely:
            raise ScoreError(f"{lonely[0]}: no partner among {folder}/X{scale} and {hr_folder}")
        for pair in pairs:
            matlab, ours = read_image(pair.sr), imresize(modcrop(read_image(pair.hr), scale), 1 / scale)
            values += ours.size
            differing += int((matlab != ours).sum()) if matlab.shape == ours.shape else ours.size
        name = f"imresize as MATLAB's, Set5 1/{scale}"
        yield Check(differing == 0, name, f"{differing} of {values} values in {len(pairs)} images differ")


def check_cisrnet(folder: Path) -> Iterator[Check]:
    """Score the published outputs of the CISRNet authors, `folder`/METHOD/Set5, and compare with their Table 1.

    Raises ImageError, ScoreError and MetricError: a folder is missing, or its files do not pair up.
    """
    originals = list_images(folder / "HR" / "Set5")
    for name, method in CISRNET_FOLDERS.items():
        pairs, lonely = pair_files(list_images(folder / name / "Set5"), originals)
        if lonely:
            raise ScoreError(f"{lonely[0]}: no partner among {folder}/{name}/Set5 and {folder}/HR/Set5")
        for pair in pairs:
            check_sizes(pair, border=4)
        mean = average([score_pair(pair, border=4, convention="edsr") for pair in pairs])
        printed = lookup(method, "Set5", 4, "jpeg10")
        assert printed is not None and printed.psnr is not None and printed.ssim is not None
        yield _as_printed(
            f"CISRNet's Table 1, {method}, Set5 x4", (mean.psnr_y, mean.ssim_y), (printed.psnr, printed.ssim)
        )
    figures = []
    for path in originals:
        hr = modcrop(read_image(path), 4)
        sr = imresize(compress(imresize(hr, 1 / 4), "jpeg10"), 4)
        figures.append((psnr_y(sr, hr, 4, "edsr"), ssim_y(sr, hr, 4, "edsr")))
    yield _as_printed("bicubic made here, Set5 x4", tuple(np.mean(figures, axis=0)), BICUBIC)


def _as_printed(name: str, found: tuple[float, float], printed: tuple[float, float]) -> Check:
    """Compare PSNR and SSIM with three decimals, as printed in papers."""
    same = [f"{value:.3f}" for value in found] == [f"{value:.3f}" for value in printed]
    return Check(same, name, _against("{:.3f}/{:.3f}", found, printed))


def _against(form: str, found: tuple[float, float], wanted: tuple[float, float]) -> str:
    return f"{form.format(*found)} (wanted {form.format(*wanted)})"


if __name__ == "__main__":
    raise SystemExit(run(main))
