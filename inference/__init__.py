"""Restoring images with a network: from Python, `load_restorer`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inference.devices import pick_device, ready
from inference.restorer import Restorer
from inference.shipped_weights import resolve
from models import options_in_file


def load_restorer(weights: str | Path, device: str = "auto", **settings: Any) -> Restorer:
    """A network that restores uint8 or uint16 arrays h×w×3 (RGB): `load_restorer("cisrnet_x2")(image)`.

    Args:
        weights: a name in `checkpoints/`, or a weight file that says which network it is for.
        device: `auto` (CUDA where there is one), `cpu` or `cuda`.
        settings: as `Restorer` takes them: `precision`, `tile`, `self_ensemble`, `strength`, …

    Raises:
        UserError: no such weights, no such device, or settings that do not go together.
    """
    chosen = pick_device(device)
    return Restorer(ready(options_in_file(resolve(Path(weights))), chosen), chosen, **settings)


__all__ = ["Restorer", "load_restorer"]
