"""Loading of the networks of an evaluation."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import torch

from evaluation.options import ModelOptions
from inference.devices import ready
from models import Generator, options_in_file
from utils.errors import UserError
from utils.visible import visible


def load_model(model: ModelOptions, scale: int, device: torch.device) -> Generator | None:
    """The network of a row; None if its weights are missing or the row is a program.

    Raises:
        UserError, WeightsError: the weights are for another scale or do not fit.
    """
    if not is_there(model):
        return None
    generator_options = model.generator
    if generator_options is None:
        assert model.weights is not None  # a row without a program has one of the two
        generator_options = options_in_file(model.weights)
    if generator_options.scale != scale:
        raise UserError(
            f"model {model.name!r}: {model.weights} is for scale {generator_options.scale}, scale is {scale}"
        )
    return ready(generator_options, device)


def load_colour(model: ModelOptions, device: torch.device) -> Generator | None:
    """The network at scale 1 that gives a row its colour; None if the row keeps its own.

    Raises:
        UserError, WeightsError: the weights are missing, for another scale, or do not fit.
    """
    if model.colour is None:
        return None
    generator_options = options_in_file(model.colour)
    if generator_options.scale != 1:
        raise UserError(f"model {model.name!r}: colour: {model.colour} is for scale {generator_options.scale}, not 1")
    return ready(generator_options, device)


def is_there(model: ModelOptions) -> bool:
    """Whether a row is a network and its weights, if it needs any, exist."""
    return model.program is None and (model.weight_file is None or model.weight_file.is_file())


def why_not_there(model: ModelOptions) -> str:
    """Why `load_model` returns None, as a phrase."""
    return "is a program" if model.program is not None else f"{model.weight_file} is not there"


def load_those_there(models: Iterable[ModelOptions], scale: int, device: torch.device) -> dict[str, Generator]:
    """`load_model` of several rows, by name; missing ones are reported on stderr and left out."""
    there = {}
    for model in models:
        generator = load_model(model, scale, device)
        if generator is None:
            print(f"{model.name}: {visible(why_not_there(model))}; left out", file=sys.stderr)
        else:
            there[model.name] = generator
    return there
