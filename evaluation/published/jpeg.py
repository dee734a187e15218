"""Tables of JPEG artefact removal as printed in the papers.

Protocols, confirmed by encoding the images again (`bash eval.sh options/benchmarks/jpeg.yml`): colour images are
encoded by OpenCV at its default 4:2:0; for grey LIVE1, MATLAB's Y (16 to 235) is encoded as a grey image; the files of
Classic5 are grey. PSNR and SSIM are computed without a border; SSIM's window stays inside the image.
"""

from __future__ import annotations

from functools import partial

from evaluation.published.figure import Published

GREY_SOURCE = "grey JPEG, as tabulated for FBCNN (ICCV 2021) and SwinIR (ICCVW 2021)"
COLOUR_SOURCE = "colour JPEG, as tabulated for FBCNN (ICCV 2021), SwinIR (ICCVW 2021) and JDEC (CVPR 2024)"

# fmt: off
GREY = {  # (set, protocol) -> {quality: {method: PSNR/SSIM/PSNR-B}}
    ("Classic5", "file"): {
        10: {"input": "27.82/0.760/25.21", "AR-CNN": "29.03/0.793/28.76", "DnCNN-3": "29.40/0.803/29.13",
             "QGAC": "29.84/0.812/29.43", "FBCNN": "30.12/0.822/29.80", "SwinIR": "30.27/0.825/29.95"},
        40: {"input": "32.43/0.885/29.92", "AR-CNN": "33.32/0.895/32.79", "DnCNN-3": "33.77/0.900/33.23",
             "QGAC": "34.05/0.905/33.12", "FBCNN": "34.35/0.907/33.48", "SwinIR": "34.52/0.908/33.66"},
    },
    ("LIVE1", "bt601_limited"): {
        10: {"input": "27.77/0.773/25.33", "AR-CNN": "28.96/0.808/28.68", "DnCNN-3": "29.19/0.812/28.90",
             "QGAC": "29.51/0.825/29.13", "FBCNN": "29.75/0.827/29.40", "SwinIR": "29.86/0.829/29.50"},
        40: {"input": "32.35/0.904/29.96", "AR-CNN": "33.61/0.920/33.11", "DnCNN-3": "33.96/0.925/33.28",
             "QGAC": "34.16/0.929/33.36", "FBCNN": "34.53/0.931/33.74", "SwinIR": "34.67/0.932/33.88"},
    },
}
COLOUR = {  # LIVE1: {quality: {method: RGB-PSNR/PSNR-B, or RGB-PSNR alone}}
    10: {"input": "25.69/24.20", "AR-CNN": "26.91", "DnCNN": "26.68/26.47", "QGAC": "27.65/27.43",
         "FBCNN": "27.77/27.51", "JDEC": "27.95/27.71", "SwinIR": "28.06/27.76"},
    20: {"input": "28.06/26.49", "DnCNN": "29.12/28.77", "QGAC": "29.88/29.56", "FBCNN": "30.11/29.70",
         "JDEC": "30.26/29.87", "SwinIR": "30.45/29.97"},
    30: {"input": "29.37/27.84", "DnCNN": "30.43/30.04", "QGAC": "31.17/30.77", "FBCNN": "31.43/30.92",
         "JDEC": "31.59/31.12", "SwinIR": "31.82/31.24"},
    40: {"input": "30.28/28.83", "DnCNN": "31.34/30.94", "QGAC": "32.08/31.64", "FBCNN": "32.34/31.80",
         "JDEC": "32.50/31.98", "SwinIR": "32.75/32.12"},
    90: {"input": "36.86", "DnCNN": "37.29", "QGAC": "37.75", "FBCNN": "38.25", "JDEC": "38.72"},
}
# fmt: on

_row = partial(Published, scale=1, decimals=2)


def grey() -> list[Published]:
    """The rows of `GREY`."""
    rows = []
    for (dataset, protocol), by_quality in GREY.items():
        for quality, cells in by_quality.items():
            task = partial(_row, dataset=dataset, protocol=protocol, compression=f"jpeg{quality}", convention="grey")
            for method, cell in cells.items():
                psnr, ssim, psnr_b = map(float, cell.split("/"))
                rows.append(task(method=method, source=GREY_SOURCE, psnr=psnr, ssim=ssim, psnr_b=psnr_b))
    return rows


def colour() -> list[Published]:
    """The rows of `COLOUR`."""
    rows = []
    for quality, cells in COLOUR.items():
        task = partial(_row, dataset="LIVE1", compression=f"jpeg{quality}", convention="rgb")
        for method, cell in cells.items():
            psnr, *psnr_b = map(float, cell.split("/"))
            rows.append(task(method=method, source=COLOUR_SOURCE, psnr=psnr, psnr_b=psnr_b[0] if psnr_b else None))
    return rows
