"""AR-CNN: four convolutions against compression artefacts (Dong et al., ICCV 2015, arXiv 1504.06993).

The authors' files for grey JPEG (`q10.mat` and others: one for each of the qualities 10, 20, 30, 40) load with the
defaults below.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from models.generator import MOST_CHANNELS, Generator, GeneratorOptions
from models.layers import ToImage
from models.luma import Luma, restore_luma

Kernel = Literal[1, 3, 5, 7, 9, 11]

_Channels = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]


class ARCNNOptions(GeneratorOptions):
    """Sizes of AR-CNN for restoration at scale 1; the defaults are the paper's."""

    type: Literal["arcnn"] = "arcnn"
    scale: Literal[1] = 1
    """Always 1: the output has the size of the input."""
    channels: Literal[1, 3] = 1
    """1: only Y is restored, and Cb and Cr stay unchanged; 3: RGB."""
    luma: Luma = "full"
    """The Y of colour images that a single-channel network gets: `full` (0 to 255) or `limited` (16 to 235)."""
    num_feat: tuple[_Channels, _Channels, _Channels] = (64, 32, 16)
    """Output channels of feature extraction, enhancement and mapping."""
    kernels: tuple[Kernel, Kernel, Kernel, Kernel] = (9, 7, 1, 5)
    """Sides of the kernels, the reconstruction's last."""


class ARCNN(Generator):
    """Feature extraction, enhancement, mapping and reconstruction; beyond its edges the image is repeated."""

    Options = ARCNNOptions
    options: ARCNNOptions

    def __init__(self, options: ARCNNOptions):
        super().__init__(options)
        widths = (options.channels, *options.num_feat, options.channels)
        layers = (nn.Conv2d, nn.Conv2d, nn.Conv2d, ToImage)
        convs = [
            layer(before, after, side, padding=side // 2, padding_mode="replicate")
            for layer, before, after, side in zip(layers, widths, widths[1:], options.kernels)
        ]
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)
        self.extract, self.enhance, self.map, self.reconstruct = convs
        self.relu = nn.ReLU(inplace=True)

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`."""
        return self._restored(lr) if self.options.channels == 3 else restore_luma(self._restored, lr, self.options.luma)

    def _restored(self, image: Tensor) -> Tensor:
        for conv in (self.extract, self.enhance, self.map):
            image = self.relu(conv(image))
        return self.reconstruct(image)
