"""A published figure as it is kept: the value as printed, and the task, convention and protocol of its measurement."""

from __future__ import annotations

from dataclasses import dataclass


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
    source: str


@dataclass(frozen=True, kw_only=True)
class Finding(Average):
    """A comparison that a paper states; `psnr` (dB) and `ssim` are the better minus the other, if printed."""

    statement: str

    @property
    def name(self) -> str:
        """The figure or table of the paper: `Figure 8`."""
        return self.source.rpartition(", ")[2]
