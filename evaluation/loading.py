"""The networks of an evaluation's rows, and the device that they run on."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import torch

from evaluation.options import ModelOptions
from models import Generator, GeneratorOptions, build_generator, options_in_file
from utils.errors import UserError


def pick_device(choice: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` mean here.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda and torch sees no CUDA device; install a CUDA build or use auto")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """`CPU`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def load_model(model: ModelOptions, scale: int, device: torch.device) -> Generator | None:
    """A row's network, ready to restore; None where its weights are not there, or where it is a program.

    Raises:
        UserError, WeightsError: weights of another scale, or that do not fit.
    """
    if not is_there(model):
        return None
    generator_options = model.generator or options_in_file(model.weights)
    if generator_options.scale != scale:
        raise UserError(
            f"model {model.name!r}: {model.weights} is for scale {generator_options.scale}, scale is {scale}"
        )
    return ready(generator_options, device)


def ready(options: GeneratorOptions, device: torch.device) -> Generator:
    """The network that `options` describe, ready to restore: on `device`, in the memory layout that is fastest."""
    return build_generator(options).eval().to(device, memory_format=torch.channels_last)


def is_there(model: ModelOptions) -> bool:
    """Whether a row is a network whose weights, if it needs any, are there."""
    return model.program is None and (model.weight_file is None or model.weight_file.is_file())


def why_not_there(model: ModelOptions) -> str:
    """Why `load_model` gives None, in words."""
    return "is a program" if model.program is not None else f"{model.weight_file} is not there"


def load_those_there(models: Iterable[ModelOptions], scale: int, device: torch.device) -> dict[str, Generator]:
    """`load_model` of several rows by name; those that are not there are named on stderr and left out."""
    there = {}
    for model in models:
        generator = load_model(model, scale, device)
        if generator is None:
            print(f"{model.name}: {why_not_there(model)}; left out", file=sys.stderr)
        else:
            there[model.name] = generator
    return there
