"""Captions of tables: how scores were measured, the encoders, and remarks about rows."""

from __future__ import annotations

from data.codecs import parse
from data.codecs.base import QualityCodec
from data.grey import MEANING
from evaluation.contamination import warnings
from evaluation.options import EvaluationOptions
from metrics.measures import CROPPED_TO, MEASURES

_OF_Y = ("psnr_y", "ssim_y")
_SCORED = {
    "image": "8-bit rounded and clamped output",
    "subjective_qe": "the networks' output, neither rounded nor clamped (programs: 8-bit), cropped to multiples of "
    f"{CROPPED_TO['subjective_qe']} pixels, as SubjectiveQE-ESRGAN is scored",
}


def caption(options: EvaluationOptions) -> list[str]:
    """Sentences about the measurement of the scores, so that a table can be compared with others."""
    y = [MEASURES[name].meaning for name in options.metrics if name in _OF_Y]
    others = [f"{MEASURES[name].meaning}." for name in options.metrics if name not in _OF_Y]
    lines = [f"×{options.scale}, on {_SCORED[options.scored]}."]
    if y and any(dataset.grey is None for dataset in options.datasets):
        lines.append(f"{', '.join(y)}: convention `{options.convention}`, border {options.shaved}.")
    elif y:
        lines.append(f"{', '.join(y)}: border {options.shaved}.")
    return [
        *lines,
        *others,
        *_grey(options),
        *_encoders(options),
        "bpp: bits per pixel of the LR image, as encoded here.",
        *warnings(options),
    ]


def _grey(options: EvaluationOptions) -> list[str]:
    """A sentence for each kind of grey images, with its sets."""
    found: dict[str, list[str]] = {}
    for dataset in options.datasets:
        if dataset.grey is not None:
            found.setdefault(MEANING[dataset.grey], []).append(dataset.name)
    return [
        f"{', '.join(names)}: grey images ({meaning}), compressed and restored as such; every figure is of their one "
        "channel, SSIM's windows inside the image."
        for meaning, names in found.items()
    ]


def _encoders(options: EvaluationOptions) -> list[str]:
    """A sentence for each encoder and its settings, with the qualities."""
    found: dict[tuple[str, str], list[str]] = {}
    for dataset in options.datasets:
        for spec in () if dataset.lr is not None else dataset.compressions:
            codec = parse(spec).of_grey() if dataset.grey else parse(spec)
            if isinstance(codec, QualityCodec):
                qualities = found.setdefault((codec.title, codec.encoder()), [])
                qualities += [str(codec.quality)] if str(codec.quality) not in qualities else []
            elif spec != "none":
                resized = "" if codec.keeps_size else "; the original is resized alike"
                name, text = dataset.name_of(str(parse(spec))), str(parse(spec))
                found[name if name == text else f"{name} (`{text}`)", codec.describe() + resized] = [""]
    return [f"{' '.join([title, ', '.join(qualities)]).strip()}: {how}." for (title, how), qualities in found.items()]
