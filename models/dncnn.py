"""DnCNN: convolutions that estimate the artefacts, which are subtracted (Zhang et al., IEEE TIP 26(7), 2017).

The authors' blind network DnCNN-3 restores grey JPEG of any quality; their file `DnCNN3.mat` loads with the defaults
below. It holds no batch normalisation: that was folded into the convolutions, and so this network has none either.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.layers import relu_stack, zero
from models.luma import Luma, restore_luma


class DnCNNOptions(GeneratorOptions):
    """Sizes of DnCNN for restoration at scale 1; the defaults are those of DnCNN-3."""

    type: Literal["dncnn"] = "dncnn"
    scale: Literal[1] = 1
    """Always 1: the output has the size of the input."""
    channels: Literal[1, 3] = 1
    """1: only Y is restored, and Cb and Cr stay unchanged; 3: RGB."""
    luma: Luma = "full"
    """The Y of colour images that a single-channel network gets: `full` (0 to 255) or `limited` (16 to 235)."""
    num_feat: int = Field(default=64, ge=1, le=MOST_CHANNELS)
    """Channels of every feature map."""
    layers: int = Field(default=20, ge=2, le=MOST_PARTS)
    """Convolutions, the first and the last among them."""


class DnCNN(Generator):
    """The image minus the output of twenty 3×3 convolutions with ReLU between them."""

    Options = DnCNNOptions
    options: DnCNNOptions

    def __init__(self, options: DnCNNOptions):
        super().__init__(options)
        self.body = relu_stack(options.channels, options.num_feat, options.layers)

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`."""
        if self.options.channels == 3:
            return lr - self.body(lr)
        return restore_luma(lambda y: y - self.body(y), lr, self.options.luma)

    def start_as_interpolation(self) -> None:
        """The convolutions take nothing off yet: the output is the input."""
        zero(self.body[-1])
