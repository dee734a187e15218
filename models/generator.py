"""What every generator has in common: typed options, a scale, one forward."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from models.calibration import Calibration
from models.global_average import GlobalAverage
from utils.section import Section

MOST_CHANNELS, MOST_PARTS = 4096, 1000
"""Ceilings of widths and of numbers of layers, blocks or groups, far above any network here: files ask for them too."""

_LEAST_SIDE = 8


class GeneratorOptions(Section):
    """Options of every generator; each network adds its sizes, with the paper's as defaults."""

    scale: int = Field(ge=1, le=8)
    """How many times larger the output is than the input, per side."""
    weights: Path | None = None
    """Weights file: a published format of this network, or a file that training here wrote. Null: random weights."""
    type: str
    """The network's name; each network's options take theirs alone."""

    def resolved(self) -> GeneratorOptions:
        """These options with nothing left open, for networks that can read sizes off their `weights`.

        `Generator` keeps them as its `.options`.

        Raises:
            models.WeightsError: a file that cannot be read.
        """
        return self


class Generator(nn.Module):
    """A network from compressed LR images to restored HR ones.

    A subclass names its `Options` (whose `type` literal is the network's name in YAML) and takes them as the only
    argument. It is registered by being imported in `models/__init__.py`.

    `forward(lr)`: float `N×3×h×w`, RGB in [0, 1] → `N×3×(h·scale)×(w·scale)`, same range, not clamped.
    """

    Options: ClassVar[type[GeneratorOptions]]
    trainable: ClassVar[bool] = True
    """Whether there are weights that training here could change."""
    reads_steps: ClassVar[bool] = False
    """Whether `forward(lr, steps)` also takes the quantisation steps of JPEG files, float `N×2` (0: unknown)."""
    reads_its_weights: ClassVar[bool] = False
    """Whether the constructor has read `options.weights`; else `models.load_weights` does."""

    def __init__(self, options: GeneratorOptions):
        super().__init__()
        self.options = options.resolved()
        self.scale = self.options.scale
        self.calibration: Calibration | None = None  # of the weights that it was built with: further training ends it

    def forward(self, lr: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no forward")

    @property
    def looks_at_whole(self) -> bool:
        """Whether a part of the output depends on all of the image, so that tiles give another result than the whole.

        Channel attention averages over all pixels; a generator with a non-local operator has it too.
        """
        return any(isinstance(module, nn.AdaptiveAvgPool2d) for module in self.modules())

    @property
    def averages_can_be_held(self) -> bool:
        """Whether averages over all pixels are the only thing that tells tiles from the whole, and can be held."""
        pools = [module for module in self.modules() if isinstance(module, nn.AdaptiveAvgPool2d)]
        return bool(pools) and all(isinstance(pool, GlobalAverage) for pool in pools)

    @property
    def least_side(self) -> int:
        """Side in LR pixels of a small image that is not padded."""
        return _LEAST_SIDE

    def start_as_interpolation(self) -> None:
        """Change the initial weights so that the output is the interpolated input; see `models.interpolation_start`.

        Raises:
            ValueError: this network has no such start (or needs none).
        """
        raise ValueError(f"generator {self.options.type!r} has no start as an interpolation; use start: random")


def count_parameters(module: nn.Module) -> int:
    """Number of parameters, trainable or not."""
    return sum(parameter.numel() for parameter in module.parameters())
