"""Restoring images with a network: from Python, `load_restorer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from inference.devices import pick_device, ready
from inference.restorer import Restorer
from inference.shipped_weights import colour_weights, faithful_pair, resolve
from inference.weight_interpolation import interpolate
from models import GeneratorOptions, options_in_file


def load_restorer(weights: str | Path, device: str = "auto", **settings: Any) -> Restorer:
    """A network that restores uint8 or uint16 arrays h×w×3 (RGB): `load_restorer("cisrnet_x2")(image)`.

    Args:
        weights: a name in `checkpoints/`, or a weight file that says which network it is for.
        device: `auto` (CUDA where there is one), `cpu` or `cuda`.
        settings: as `build_restorer` takes them: `precision`, `tile`, `self_ensemble`, `strength`, …

    Raises:
        UserError: no such weights, no such device, or settings that do not go together.
    """
    return build_restorer(options_in_file(resolve(Path(weights))), pick_device(device), **settings)


def build_restorer(
    options: GeneratorOptions,
    device: torch.device,
    *,
    strength: float = 1.0,
    own_colour: bool = False,
    **settings: Any,
) -> Restorer:
    """The restorer of a network that `options` describe, on `device`.

    Args:
        strength: 0 to 1. Bundled weights for perceptual quality are mixed with those for PSNR that they were trained on
            from (Wang et al., ESRGAN, section 3.4): 0 gives the network for PSNR. Any other network: see `Restorer`.
        own_colour: keep the colour of the network itself where bundled weights would get that of a network at scale 1
            (`shipped_weights.COLOUR`).
        settings: the others of `Restorer`.

    Raises:
        UserError, models.WeightsError: weights that cannot be used, or settings that do not go together.
    """
    pair = faithful_pair(options.weights)
    colourist = None if own_colour else colour_weights(options.weights)
    if colourist is not None:
        settings["colour"] = Restorer(ready(options_in_file(colourist), device), device, **settings)
    if pair is None or not 0 <= strength < 1:
        return Restorer(ready(options, device), device, strength=strength, **settings)
    faithful = options_in_file(pair)
    if strength == 0:
        return Restorer(ready(faithful, device), device, **settings)
    networks = (ready(each, device) for each in (faithful, options))
    return Restorer(interpolate(networks, [1 - strength, strength]), device, **settings)


__all__ = ["Restorer", "build_restorer", "load_restorer"]
