"""The device that networks restore on, and a network made ready for it."""

from __future__ import annotations

import torch

from models import Generator, GeneratorOptions, build_generator
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


def ready(options: GeneratorOptions, device: torch.device) -> Generator:
    """The network that `options` describe, ready to restore: on `device`, in the memory layout that is fastest."""
    return build_generator(options).eval().to(device).to(memory_format=torch.channels_last)
