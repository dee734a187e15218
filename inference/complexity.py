"""Parameters and floating-point operations of a generator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import Generator, GeneratorOptions, build_generator


def flops(options: GeneratorOptions, height: int, width: int) -> int:
    """Floating-point operations (2 per multiply-add) of one forward pass on a height×width LR image.

    Convolutions, matrix products and attention are counted, as `torch.utils.flop_counter` defines them. Nothing is
    computed: the network lies on the meta device, its weight file is not read.
    """
    with torch.device("meta"):
        generator: Generator = build_generator(options.model_copy(update={"weights": None})).eval()
        lr = torch.empty(1, 3, height, width)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            generator(lr)
    total: int = counter.get_total_flops()
    return total


def activation_bytes(generator: Generator) -> int:
    """Roughly what inference needs for each LR pixel, in bytes, in float32: enough to choose a tile by.

    Four times what the layer with the largest input and output holds, as its neighbours' features are still alive
    and convolutions have workspaces; `benchmarks/memory/restore.py` sets it beside real peaks. Measured on a small
    image: `least_side` pixels a side.
    """
    side = generator.least_side
    largest = 3 * (side * generator.scale) ** 2 * 4  # without layers (bicubic): float64 copies of the image

    def note(layer: nn.Module, given: tuple[Any, ...], made: Tensor) -> None:
        nonlocal largest  # layers of others may take sizes and the like beside tensors
        largest = max(largest, sum(value.numel() for value in (made, *given) if isinstance(value, Tensor)))

    layers = [module for module in generator.modules() if not list(module.children())]
    hooks = [layer.register_forward_hook(note) for layer in layers if layer is not generator]
    try:
        weight = next(generator.parameters(), torch.empty(0))
        with torch.inference_mode():
            generator(torch.zeros(1, 3, side, side, device=weight.device))
    finally:
        for hook in hooks:
            hook.remove()
    return 4 * 4 * largest // side**2


def megapixel_input(scale: int) -> tuple[int, int]:
    """Height and width of the LR image whose output is 864×1152, 1.0 megapixels (or a little less, where the scale does
    not divide these).
    """
    return 864 // scale, 1152 // scale


def flops_of_a_megapixel(options: GeneratorOptions) -> int | None:
    """`flops` on `megapixel_input`; None for a network that does not run on the meta device."""
    try:
        return flops(options, *megapixel_input(options.scale))
    except RuntimeError:  # it reads values, which the meta device does not have, or needs its file to be built
        return None
