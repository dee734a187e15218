"""Which network a command line asks for: by name, by weight file, or by the generator section of an options file."""

from __future__ import annotations

import sys
from pathlib import Path

from evaluation.options import EvaluationOptions, ModelOptions
from inference.shipped_weights import DEFAULTS, cards, known, resolve
from models import AnyGeneratorOptions, GeneratorOptions, options_in_file
from utils.errors import UserError
from utils.options import load, validate
from utils.options.sources import read_with_bases
from utils.section import Section


def choose_generator(
    model: str | None, weights: Path | None, options: Path | None, scale: int | None
) -> GeneratorOptions:
    """The generator's options, nothing left open, with weights unless it has none (bicubic).

    Args:
        model: name of weights in `checkpoints/`. With `options`: name of one of an evaluation file's models.
        weights: any file that `models.options_in_file` understands; with `options`, of that network.
        options: a training file (its `generator`) or an evaluation file (one of its `models`).
        scale: chooses among the weights in `checkpoints/` where nothing else is given (`DEFAULTS`); else a check.

    Raises:
        UserError, WeightsError: nothing to choose, too much to choose from, or files that cannot be used.
    """
    if options is not None:
        chosen = _from_options(options, model, weights)
    elif model is not None and weights is not None:
        raise UserError("--model and --weights both name weights; give one of them")
    elif model is not None:
        chosen = options_in_file(_by_name(model))
    else:
        chosen = options_in_file(resolve(weights) if weights is not None else _by_default(scale))
    if scale is not None and chosen.scale != scale:
        raise UserError(f"{chosen.weights or chosen.type} is for scale {chosen.scale}, --scale is {scale}")
    return chosen


def _by_name(name: str) -> Path:
    path = next((card.path for card in cards() if card.name == name), None)
    if path is None:
        raise UserError(f"--model {name}: no such weights; {known()} (--weights FILE takes a file)")
    return path


def _by_default(scale: int | None) -> Path:
    """The default of this scale, or else the only weights that there are."""
    fitting = [card for card in cards() if scale in (None, card.scale)]
    default = DEFAULTS.get(next(iter(DEFAULTS)) if scale is None else scale)
    for card in fitting:
        if card.name == default:
            print(f"the default: {card.name} (×{card.scale}); `test.py restore --list` names all", file=sys.stderr)
            return card.path
    if len(fitting) != 1:
        raise UserError(f"give --model NAME, --weights FILE or --options FILE; of names {known()}")
    return fitting[0].path


class _TrainingFile(Section):
    """The part of a training file that describes a network."""

    generator: AnyGeneratorOptions


def _from_options(path: Path, model: str | None, weights: Path | None) -> GeneratorOptions:
    data, origins = read_with_bases(path)
    if "models" in data:
        row = _row(load(path, EvaluationOptions), path, model)
        if row.program is not None:
            raise UserError(f"{path}: {row.name} is a program, not a network; name another row with --model")
        weights = weights or row.weight_file
        if row.generator is None:
            assert weights is not None  # a row that is no program has one or the other
            return options_in_file(resolve(weights))
        chosen = row.generator
    elif "generator" in data:
        if model is not None:
            raise UserError(f"{path}: a training file has one network; leave out --model (--weights FILE fills it)")
        chosen = validate({"generator": data["generator"]}, _TrainingFile, str(path), origins).generator
        weights = weights or chosen.weights
    else:
        raise UserError(f"{path}: has neither `generator` nor `models`; give a training or an evaluation file")
    if weights is None and chosen.type != "bicubic":
        raise UserError(f"{path}: names no weights; add --weights, for instance experiments/…/best.safetensors")
    return chosen.model_copy(update={"weights": weights and resolve(weights)}).resolved()


def _row(options: EvaluationOptions, path: Path, name: str | None) -> ModelOptions:
    rows = [row for row in options.models if name in (None, row.name)]
    if len(rows) != 1:
        names = ", ".join(row.name for row in options.models)
        raise UserError(f"{path}: give --model with one of its models' names: {names}")
    return rows[0]
