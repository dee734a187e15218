"""Averages on DIV2K's validation set, as stated by PowerQE, the AIM 2022 challenge and SubjectiveQE-ESRGAN."""

from __future__ import annotations

from functools import partial

from evaluation.published.figure import Published

POWERQE = "PowerQE v3, results table (github.com/ryanxingql/powerqe)"
AIM_2022 = "AIM 2022 Challenge on Super-Resolution of Compressed Image and Video"
SUBJECTIVE_QE = "SubjectiveQE-ESRGAN, README (github.com/RyanXingQL/SubjectiveQE-ESRGAN)"

_row = partial(Published, dataset="DIV2K_valid")


def powerqe() -> list[Published]:
    """RGB-PSNR at scale 1, JPEG 10 to 50."""
    rows = {
        "input": (27.095, 29.588, 30.911, 31.791, 32.489),
        "RDN": (28.967, 31.437, 32.777, 33.684, 34.384),
        "CBDNet": (29.325, 31.793, 33.103, 33.979, 34.690),
    }
    return [
        _row(method=method, scale=1, compression=f"jpeg{quality}", convention="rgb", source=POWERQE, psnr=psnr)
        for method, figures in rows.items()
        for quality, psnr in zip((10, 20, 30, 40, 50), figures, strict=True)
    ]


def aim_2022() -> list[Published]:
    """RGB-PSNR at scale 4, JPEG 10."""
    rows = {
        "bicubic": 22.350,
        "RDN": 23.320,
        "SwinIR": 23.546,
        "Swin2SR": 23.580,
        "Swin2SR with self-ensemble": 23.616,
    }
    caveat = "LR images made by Pillow's bicubic, not MATLAB's"
    task = partial(_row, scale=4, compression="jpeg10", convention="rgb", source=AIM_2022, caveat=caveat)
    return [task(method=method, psnr=psnr) for method, psnr in rows.items()]


def subjective_qe() -> list[Published]:
    """LPIPS at scale 1, HEVC intra at QP 37."""
    return [
        _row(
            method=method,
            scale=1,
            compression="hevc37",
            convention="lpips_alex_unit_range",
            source=SUBJECTIVE_QE,
            lpips=lpips,
            caveat="HEVC by HM 16.5; LPIPS was fed [0, 1] images unscaled: not comparable with standard LPIPS",
        )
        for method, lpips in {"input": 0.138, "ESRGAN": 0.080}.items()
    ]
