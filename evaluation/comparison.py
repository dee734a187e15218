"""Published figures beside ours: only where data set, scale, compression, convention and border agree."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.options import EvaluationOptions, ModelOptions
from evaluation.published import COSTS, FINDINGS, Cost, Finding, lookup

_FIELD = {"psnr_y": "psnr", "ssim_y": "ssim", "psnr_rgb": "psnr", "lpips": "lpips", "lpips_unit_range": "lpips"}
_OWN_CONVENTION = {
    "psnr_rgb": "rgb",
    "lpips": "lpips_alex_standard",
    "lpips_unit_range": "lpips_alex_unit_range",
}


@dataclass(frozen=True)
class Quoted:
    """A published figure, the decimals it was printed with, its source, and what must be said beside it."""

    value: float
    decimals: int
    source: str
    caveat: str


def quoted(
    options: EvaluationOptions, model: ModelOptions, measure: str, dataset: str, compression: str
) -> Quoted | None:
    """The published figure that this cell of ours may stand beside."""
    if model.published is None:
        return None
    # The papers' HEVC is named by its QP; whose encoder it was is in the row's caveat.
    row = lookup(model.published, dataset, options.scale, compression.replace("hm", "hevc"))
    if row is None or row.convention != _OWN_CONVENTION.get(measure, options.convention):
        return None
    if measure not in _OWN_CONVENTION and options.shaved != (options.scale if options.scale > 1 else 0):
        return None
    value = getattr(row, _FIELD[measure])
    if value is None:
        return None
    return Quoted(value, row.decimals if _FIELD[measure] == "psnr" else 3, row.source, row.caveat)


def quoted_cost(options: EvaluationOptions, model: ModelOptions) -> Cost | None:
    """The published size and time of the model's method at this scale."""
    known = {(method.casefold(), scale): cost for (method, scale), cost in COSTS.items()}
    return known.get(((model.published or "").casefold(), options.scale))


def findings(options: EvaluationOptions) -> list[str]:
    """The comparisons that `options.findings` names, a sentence each."""
    return [_sentence(finding) for finding in FINDINGS if finding.name in options.findings]


def _sentence(finding: Finding) -> str:
    gains = [
        f"{value:+.3f}{unit}" for value, unit in ((finding.psnr, " dB"), (finding.ssim, " SSIM")) if value is not None
    ]
    where = f"{finding.dataset}, ×{finding.scale}, {finding.compression}, convention `{finding.convention}`"
    return f"{finding.source}: {finding.statement} ({', '.join([*gains, where])})."
