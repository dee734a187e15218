"""Bundled weights, by name: `checkpoints/<name>.safetensors`, each with a card `checkpoints/<name>.md` beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.weight_files import about
from utils.errors import UserError

FOLDER = Path(__file__).parents[1] / "checkpoints"
DEFAULTS = {2: "cisrnet_x2", 4: "cisrnet_x4", 1: "residual_unet_jpeg"}
"""What restores at a scale where no network is named; where no scale is named either, the first."""

FAITHFUL = {"perceptual_hevc": "residual_unet_jpeg", "perceptual_jpeg": "residual_unet_jpeg"}
"""Of each network for perceptual quality, the one for PSNR that its training began with."""


COLOUR = {"cisr_psi_x2": "residual_unet_jpeg", "cisrnet_x2": "residual_unet_jpeg"}
"""Of each network whose training weighed Y above colour, the one at scale 1 that gives its results their colour."""


@dataclass(frozen=True)
class Card:
    """What is known of a weight file without loading it; `summary` is the first line of its card."""

    name: str
    path: Path
    system: str
    scale: int
    summary: str


def cards() -> list[Card]:
    """All weights in `FOLDER` that say which network they are for, by name. Others (VGG19 and the like) are left out.

    Raises:
        models.WeightsError: a file that is damaged.
    """
    found = []
    for path in sorted(FOLDER.glob("*.safetensors")):
        said = about(path)
        generator = said.get("generator")
        if isinstance(generator, dict) and isinstance(generator.get("scale"), int):
            found.append(Card(path.stem, path, str(generator.get("type")), generator["scale"], _summary(path, said)))
    return found


def _summary(path: Path, said: dict[str, Any]) -> str:
    card = path.with_suffix(".md")
    if card.is_file():
        lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.lstrip("# ").strip() for line in lines if line.strip()), "")
    return ", ".join(f"{key} {value}" for key, value in said.items() if key != "generator")


def resolve(path: Path) -> Path:
    """A bare name (no folder, no suffix, no such file) as the weights of that name; any other path as it is.

    Raises:
        UserError: no weights of that name; the text lists those that there are.
    """
    if path.suffix or len(path.parts) != 1 or path.exists():
        return path
    named = FOLDER / f"{path.name}.safetensors"
    if not named.is_file():
        raise UserError(f"{path.name}: no weights of this name in {FOLDER}; {known()}")
    return named


def faithful_pair(weights: Path | None) -> Path | None:
    """The weights for PSNR that bundled weights for perceptual quality were trained on from; None for any others."""
    return _partner(weights, FAITHFUL)


def colour_weights(weights: Path | None) -> Path | None:
    """The weights of the network that gives the results of bundled weights their colour; None for any others."""
    return _partner(weights, COLOUR)


def _partner(weights: Path | None, partners: dict[str, str]) -> Path | None:
    if weights is None or weights.resolve().parent != FOLDER.resolve() or weights.stem not in partners:
        return None
    return FOLDER / f"{partners[weights.stem]}.safetensors"


def known() -> str:
    """The names that there are, for an error message."""
    names = [card.name for card in cards()]
    return f"there are {', '.join(names)}" if names else "there are none yet: give a weight file instead"
