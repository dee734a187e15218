"""Published figures beside ours, if data set, scale, compression, convention, protocol and border agree."""

from __future__ import annotations

from dataclasses import dataclass

from data.options import EvaluationSetOptions
from evaluation.options import EvaluationOptions, ModelOptions
from evaluation.published import COSTS, FINDINGS, SUBJECTIVE_QE, Finding, PublishedCost, lookup

_FIELD = {
    "psnr_y": "psnr",
    "ssim_y": "ssim",
    "psnr_rgb": "psnr",
    "ssim_rgb": "ssim",
    "psnr_b": "psnr_b",
    "lpips": "lpips",
    "lpips_unit_range": "lpips",
}
_OF_Y = ("psnr_y", "ssim_y")  # in the evaluation's convention and border; the others have their own
_OWN_CONVENTION = {
    "psnr_rgb": "rgb",
    "ssim_rgb": "rgb",
    "psnr_b": "rgb",
    "lpips": "lpips_alex_standard",
    "lpips_unit_range": "lpips_alex_unit_range",
}


@dataclass(frozen=True)
class Quoted:
    """A published figure with its printed decimals, its source and its caveat.

    `comparable`: whether the difference to ours is meaningful.
    """

    value: float
    decimals: int
    source: str
    caveat: str
    comparable: bool = True


def quoted(
    options: EvaluationOptions, model: ModelOptions, measure: str, dataset: EvaluationSetOptions, compression: str
) -> Quoted | None:
    """The published figure for a cell of our table, if there is one."""
    if model.published is None or measure not in _FIELD:
        return None
    # Papers name HEVC by its QP; the caveat of a row names the encoder.
    compression = compression.replace("hm", "hevc")
    # A table may have a set twice, in colour and grey: the name of its folder is then that of the papers.
    names = (dataset.name, dataset.hr.name)
    rows = [lookup(model.published, name, options.scale, compression, dataset.grey or "colour") for name in names]
    row = rows[0] or rows[1]
    if row is None or row.convention != _convention(options, measure, dataset):
        return None
    if options.scored == "subjective_qe" and row.source != SUBJECTIVE_QE:
        return None
    if measure in _OF_Y and options.shaved != (options.scale if options.scale > 1 else 0):
        return None
    value = getattr(row, _FIELD[measure])
    if value is None:
        return None
    decimals = row.decimals if _FIELD[measure].startswith("psnr") else 3
    return Quoted(value, decimals, row.source, row.caveat, row.comparable)


def _convention(options: EvaluationOptions, measure: str, dataset: EvaluationSetOptions) -> str:
    """The convention of a measure on a set, as `evaluation.published` names it."""
    if dataset.grey is not None and not measure.startswith("lpips"):
        return "grey"
    return _OWN_CONVENTION.get(measure, options.convention)


def quoted_cost(options: EvaluationOptions, model: ModelOptions) -> PublishedCost | None:
    """The published size and time of the method of a model at this scale."""
    known = {(method.casefold(), scale): cost for (method, scale), cost in COSTS.items()}
    return known.get(((model.published or "").casefold(), options.scale))


def findings(options: EvaluationOptions) -> list[str]:
    """A sentence for each comparison in `options.findings`."""
    return [_sentence(finding) for finding in FINDINGS if finding.name in options.findings]


def _sentence(finding: Finding) -> str:
    gains = [
        f"{value:+.3f}{unit}" for value, unit in ((finding.psnr, " dB"), (finding.ssim, " SSIM")) if value is not None
    ]
    where = f"{finding.dataset}, ×{finding.scale}, {finding.compression}, convention `{finding.convention}`"
    return f"{finding.source}: {finding.statement} ({', '.join([*gains, where])})."
