"""Published figures of papers and programs, as data for the columns beside ours.

Each figure is kept as printed, with its source, the convention and protocol of its measurement and, where needed, a
caveat. Our tables show it only if data set, scale, compression, convention and protocol agree. CISR-PSI's own tables
were not found, so its rows have no published column.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from evaluation.published import cisrnet, jpeg

POWERQE = "PowerQE v3, results table (github.com/ryanxingql/powerqe)"
AIM_2022 = "AIM 2022 Challenge on Super-Resolution of Compressed Image and Video"
SUBJECTIVE_QE = "SubjectiveQE-ESRGAN, README (github.com/RyanXingQL/SubjectiveQE-ESRGAN)"


@dataclass(frozen=True, kw_only=True)
class Average:
    """Averages over one data set, as printed.

    Attributes:
        dataset: the project's name of the set (`DIV2K_valid`: the 100 images of DIV2K's validation set).
        scale: 1 for quality enhancement at full size.
        compression: as `data.codecs` writes it.
        convention: `matlab`, `edsr`, `cisr_psi` (Y; `scale` pixels shaved), `rgb`, `grey` (no border), or
            `lpips_alex_standard`, `lpips_alex_unit_range` (no border).
        psnr: dB. psnr, ssim: None where not printed.
    """

    dataset: str
    scale: int
    compression: str
    convention: str
    source: str
    psnr: float | None = None
    ssim: float | None = None


@dataclass(frozen=True, kw_only=True)
class Published(Average):
    """Averages of one method.

    Attributes:
        method: `input` is the compressed image itself.
        psnr_b: dB. lpips: lower is better. None where not printed.
        decimals: of `psnr` and `psnr_b`, as printed; `ssim` and `lpips` have three.
        caveat: what the reader must know about the figure; empty for most.
        protocol: `colour`, or how the images were made grey, as `data.grey` names it.
        comparable: False if ours may not be subtracted from it, for the reason that the caveat gives.
    """

    method: str
    psnr_b: float | None = None
    lpips: float | None = None
    decimals: int = 3
    caveat: str = ""
    protocol: str = "colour"
    comparable: bool = True


@dataclass(frozen=True)
class PublishedCost:
    """Parameters in millions, and seconds for all 328 images of the five sets on an NVIDIA Titan Xp."""

    parameters: float
    seconds: float
    source: str = f"{cisrnet.SOURCE}, Table 1"


@dataclass(frozen=True)
class Ablation:
    """A variant of CISRNet on B100, scale 2, JPEG 10, convention `edsr`; method `CISRNet <stage> <groups> <block>`.

    Attributes:
        stage: `coarse`: the coarse network alone; `fine`: refinement behind a coarse network of 4 groups.
        groups: residual groups of that stage.
        block: dual attention blocks of that stage: `parallel` (PDAB) or `sequential` (SDAB).
    """

    stage: str
    groups: int
    block: str
    psnr: float
    ssim: float
    source: str
    convention: str = "edsr"


@dataclass(frozen=True, kw_only=True)
class Finding(Average):
    """A comparison that a paper states; `psnr` (dB) and `ssim` are the better minus the other, if printed."""

    statement: str

    @property
    def name(self) -> str:
        """The figure or table of the paper: `Figure 8`."""
        return self.source.rpartition(", ")[2]


def lookup(method: str, dataset: str, scale: int, compression: str, protocol: str = "colour") -> Published | None:
    """Return the published averages of this method on this task, None if there are none. Case is ignored."""
    return _index().get(_key(method, dataset, scale, compression, protocol))


def methods() -> list[str]:
    """The methods with published figures, as printed."""
    return list(dict.fromkeys(row.method for row in PUBLISHED))


_Key = tuple[str, str, int, str, str]


def _key(method: str, dataset: str, scale: int, compression: str, protocol: str) -> _Key:
    return method.casefold(), dataset.casefold(), scale, compression.casefold(), protocol


@cache
def _index() -> dict[_Key, Published]:
    return {_key(row.method, row.dataset, row.scale, row.compression, row.protocol): row for row in PUBLISHED}


COSTS = {(method, scale): PublishedCost(size, seconds) for method, scale, _, size, seconds in cisrnet.TABLE_1}


def _cisrnet_table_1() -> list[Published]:
    return [
        Published(
            method=method,
            dataset=dataset,
            scale=scale,
            compression="jpeg10",
            convention="edsr",
            source=f"{cisrnet.SOURCE}, Table 1",
            psnr=psnr,
            ssim=ssim,
            caveat=cisrnet.MANGA109 if dataset == "Manga109" else cisrnet.CAVEATS.get((method, dataset, scale), ""),
            comparable=dataset != "Manga109",
        )
        for method, scale, cells, *_ in cisrnet.TABLE_1
        for dataset, cell in zip(cisrnet.SETS, cells.split())
        for psnr, ssim in [map(float, cell.split("/"))]
    ]


def _on_div2k(method: str, scale: int, compression: str, convention: str, source: str, **figures: Any) -> Published:
    return Published(
        method=method,
        dataset="DIV2K_valid",
        scale=scale,
        compression=compression,
        convention=convention,
        source=source,
        **figures,
    )


def _powerqe() -> list[Published]:
    rows = {
        "input": (27.095, 29.588, 30.911, 31.791, 32.489),
        "RDN": (28.967, 31.437, 32.777, 33.684, 34.384),
        "CBDNet": (29.325, 31.793, 33.103, 33.979, 34.690),
    }
    return [
        _on_div2k(method, 1, f"jpeg{quality}", "rgb", POWERQE, psnr=psnr)
        for method, figures in rows.items()
        for quality, psnr in zip((10, 20, 30, 40, 50), figures, strict=True)
    ]


def _aim_2022() -> list[Published]:
    rows = {
        "bicubic": 22.350,
        "RDN": 23.320,
        "SwinIR": 23.546,
        "Swin2SR": 23.580,
        "Swin2SR with self-ensemble": 23.616,
    }
    caveat = "LR images made by Pillow's bicubic, not MATLAB's"
    return [_on_div2k(method, 4, "jpeg10", "rgb", AIM_2022, psnr=psnr, caveat=caveat) for method, psnr in rows.items()]


def _jpeg() -> list[Published]:
    """Rows of `evaluation.published.jpeg`."""
    rows = []

    def add(method: str, dataset: str, quality: int, convention: str, source: str, **figures: Any) -> None:
        row = Published(
            method=method,
            dataset=dataset,
            scale=1,
            compression=f"jpeg{quality}",
            convention=convention,
            source=source,
            decimals=2,
            **figures,
        )
        rows.append(row)

    for (dataset, protocol), by_quality in jpeg.GREY.items():
        for quality, cells in by_quality.items():
            for method, cell in cells.items():
                figures = dict(zip(("psnr", "ssim", "psnr_b"), map(float, cell.split("/"))))
                add(method, dataset, quality, "grey", jpeg.GREY_SOURCE, protocol=protocol, **figures)
    for quality, cells in jpeg.COLOUR.items():
        for method, cell in cells.items():
            figures = dict(zip(("psnr", "psnr_b"), map(float, cell.split("/"))))
            add(method, "LIVE1", quality, "rgb", jpeg.COLOUR_SOURCE, **figures)
    return rows


def _subjective_qe() -> list[Published]:
    caveat = "HEVC by HM 16.5; LPIPS was fed [0, 1] images unscaled: not comparable with standard LPIPS"
    return [
        _on_div2k(method, 1, "hevc37", "lpips_alex_unit_range", SUBJECTIVE_QE, lpips=lpips, caveat=caveat)
        for method, lpips in {"input": 0.138, "ESRGAN": 0.080}.items()
    ]


ABLATIONS = (
    *(
        Ablation("coarse", groups, "parallel", psnr, ssim, f"{cisrnet.SOURCE}, Table 2")
        for groups, psnr, ssim in (
            (3, 26.049, 0.658),
            (4, 26.054, 0.658),
            (5, 26.059, 0.658),
            (6, 26.067, 0.659),
        )
    ),
    *(
        Ablation("fine", groups, "sequential", psnr, 0.659, f"{cisrnet.SOURCE}, Table 2")
        for groups, psnr in ((1, 26.079), (2, 26.081), (3, 26.082))
    ),
    Ablation("coarse", 4, "parallel", 26.054, 0.658, f"{cisrnet.SOURCE}, Table 3"),
    Ablation("coarse", 4, "sequential", 26.034, 0.657, f"{cisrnet.SOURCE}, Table 3"),
    Ablation("fine", 2, "parallel", 26.056, 0.658, f"{cisrnet.SOURCE}, Table 3"),
    Ablation("fine", 2, "sequential", 26.081, 0.659, f"{cisrnet.SOURCE}, Table 3"),
)


def _ablations() -> list[Published]:
    """Each variant once: two of them are in both tables, with the same figures."""
    rows: dict[str, Published] = {}
    for row in ABLATIONS:
        method = f"CISRNet {row.stage} {row.groups} {row.block}"
        rows[method] = Published(
            method=method,
            dataset="B100",
            scale=2,
            compression="jpeg10",
            convention=row.convention,
            source=row.source,
            psnr=row.psnr,
            ssim=row.ssim,
        )
    return list(rows.values())


PUBLISHED = (
    *_cisrnet_table_1(),
    *_ablations(),
    *_powerqe(),
    *_aim_2022(),
    *_jpeg(),
    *_subjective_qe(),
)

FINDINGS = (
    Finding(
        statement="L1 alone gives higher PSNR and SSIM than L1 and VGG together, which restore more detail to the eye",
        dataset="Urban100",
        scale=2,
        compression="jpeg10",
        convention="edsr",
        source=f"{cisrnet.SOURCE}, Figure 8",
    ),
    Finding(
        statement="the refinement network adds to the coarse network alone",
        dataset="Manga109",
        scale=2,
        compression="jpeg10",
        convention="edsr",
        source=f"{cisrnet.SOURCE}, Figure 9",
        psnr=0.066,
        ssim=0.003,
    ),
)
