"""Perceptual loss: the distance of two images in the features of an ImageNet network.

Johnson et al., ECCV 2016; before the activation as in ESRGAN (arXiv 1809.00219, section 3.2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from losses import backbones
from losses.options import LossOptions
from losses.pixel import mean_distance
from utils.autocast import without_autocast


class PerceptualLossOptions(LossOptions):
    """Which features are compared, and how. The defaults are CISRNet's."""

    weight: float = Field(default=0.05, ge=0)
    """Factor of this term in the sum."""
    network: Literal["vgg19", "vgg16", "alexnet"] = "vgg19"
    """The network, trained on ImageNet by torchvision."""
    layer: str = "conv5_4"
    """Convolution whose output is compared, before its ReLU: `conv<stage>_<number>`; AlexNet's are `conv1` to
    `conv5`."""
    weights: Path | None = None
    """File with torchvision's `features.N.*`. Null: torchvision's own, looked for in `checkpoints/` and in
    torch's cache, else downloaded."""
    distance: Literal["l2", "charbonnier", "l1"] = "l2"
    """`l2` mean d², `charbonnier` mean √(d² + eps), `l1` mean |d|."""
    eps: float = Field(default=1e-6, gt=0)
    """Charbonnier's ε."""

    @model_validator(mode="after")
    def _layer_exists(self) -> PerceptualLossOptions:
        known = backbones.layer_names(self.network)
        if self.layer not in known:
            raise ValueError(f"{self.network} has no layer {self.layer!r}: choose from {', '.join(known)}")
        return self


class PerceptualLoss(nn.Module):
    """`weight` times the mean distance of the features of two images, in float32 whatever autocast.

    `forward(sr, hr)`: float `N×3×h×w`, RGB in [0, 1] → scalar. `hr` gets no gradient, the network neither.

    Raises:
        LossWeightsError: when made, if the network's weights cannot be had or do not fit.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, options: PerceptualLossOptions):
        super().__init__()
        self.options = options
        upto = backbones.layer_names(options.network)[options.layer] + 1
        self.features = backbones.load_backbone(options.network, find_weights(options), upto)
        # ImageNet's statistics, with which torchvision trained the networks.
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        with without_autocast(sr.device.type):
            with torch.no_grad():
                target = self._features(hr)
            difference = self._features(sr) - target
            type_ = "mse" if self.options.distance == "l2" else self.options.distance
            return self.options.weight * mean_distance(difference, type_, self.options.eps)

    def _features(self, images: Tensor) -> Tensor:
        return self.features((images.float() - self.mean) / self.std)


def find_weights(options: PerceptualLossOptions) -> Path:
    """The weight file that the loss would load; call it before anything slow.

    Raises:
        LossWeightsError: there is none, and none can be downloaded.
    """
    return backbones.find_weights(options.network, options.weights)
