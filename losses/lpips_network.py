"""LPIPS (Zhang et al., CVPR 2018, version 0.1) as one differentiable network: metric and loss.

The learnt weights of the layers come with the `lpips` package; the backbone's are `losses.backbones`' matter.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from losses import backbones
from losses.options import LossOptions
from utils.autocast import without_autocast
from utils.torch_files import TorchFileError, load_torch_file

Net = Literal["alex", "vgg", "squeeze"]
Range = Literal["standard", "unit_range"]

# Backbone, and the indices in its features after which LPIPS looks.
_TAPS: dict[str, tuple[backbones.Network, tuple[int, ...]]] = {
    "alex": ("alexnet", (1, 4, 7, 9, 11)),
    "vgg": ("vgg16", (3, 8, 15, 22, 29)),
    "squeeze": ("squeezenet1_1", (1, 4, 7, 9, 10, 11, 12)),
}


class LpipsNetwork(nn.Module):
    """`forward(a, b)`: float `N×3×h×w`, RGB in [0, 1] → N distances, in float32 whatever autocast; frozen.

    Unlike the package's, its gradient is finite where all features of a pixel are 0.

    Args:
        backbone: features of the network of `net`, up to its last tap.
        heads: one weight per channel for each tap.
        range: see `build_lpips`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, backbone: nn.Sequential, taps: tuple[int, ...], heads: list[Tensor], range: Range, autocast: bool
    ):
        super().__init__()
        self.autocast = autocast
        self.backbone = backbone
        self.taps = taps
        for number, head in enumerate(heads):
            self.register_buffer(f"head{number}", head.view(1, -1, 1, 1))
        # LPIPS's own scaling of images in [-1, 1]; `standard` brings [0, 1] there in the same step.
        mean, std = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
        if range == "standard":
            mean, std = (1 + mean) / 2, std / 2
        self.register_buffer("mean", mean.view(3, 1, 1))
        self.register_buffer("std", std.view(3, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with nullcontext() if self.autocast else without_autocast(a.device.type):
            layers = zip(self._features(a), self._features(b), strict=True)
            distances = [
                ((of_a - of_b).square() * self.get_buffer(f"head{number}")).sum(dim=1).mean(dim=(1, 2))
                for number, (of_a, of_b) in enumerate(layers)
            ]
            return sum(distances[1:], start=distances[0])

    def _features(self, images: Tensor) -> list[Tensor]:
        """What the taps give, each pixel's channels brought to length 1."""
        features, found = (images.float() - self.mean) / self.std, []
        for index, layer in enumerate(self.backbone):
            features = layer(features)
            if index in self.taps:
                # Under the root, as the root's slope at 0 is infinite; 1e-10 is the package's own guard.
                tapped = features.float()
                length = (tapped.square().sum(dim=1, keepdim=True) + 1e-20).sqrt()
                found.append(tapped / (length + 1e-10))
        return found


def build_lpips(
    net: Net = "alex", weights: Path | None = None, range: Range = "standard", autocast: bool = False
) -> LpipsNetwork:
    """LPIPS, frozen, in eval mode, on the CPU.

    Args:
        net: backbone: `alex` is what papers report, `vgg` what the paper trained with, or `squeeze`.
        weights: file with torchvision's `features.N.*` of the backbone; None: as `backbones.find_weights`.
        range: `standard` scales images to [-1, 1] as LPIPS is defined; `unit_range` feeds [0, 1] as it is, a
            slip that some published figures were made with.
        autocast: leave the precision of the backbone to the surrounding autocast; false: float32.

    Raises:
        LossWeightsError: weights that cannot be had or do not fit, or no `lpips` package.
    """
    network, taps = _TAPS[net]
    backbone = backbones.load_backbone(network, backbones.find_weights(network, weights), taps[-1] + 1)
    package = find_spec("lpips")  # found, not imported: that takes seconds
    if package is None or not package.submodule_search_locations:
        raise backbones.LossWeightsError("LPIPS needs the weights in the package lpips: pip install lpips")
    file = Path(package.submodule_search_locations[0]) / "weights" / "v0.1" / f"{net}.pth"
    try:
        state = load_torch_file(file)
    except (TorchFileError, OSError) as error:
        raise backbones.LossWeightsError(f"{file}: {error}") from None
    heads = [state[f"lin{number}.model.1.weight"] for number, _ in enumerate(taps)]
    return LpipsNetwork(backbone, taps, heads, range, autocast).eval()


class LpipsLossOptions(LossOptions):
    """LPIPS as a term of a training objective."""

    net: Net = "vgg"
    """Backbone: `alex`, `vgg` or `squeeze`. Do not train with the backbone that you report: it flatters the scores."""
    range: Range = "standard"
    """`standard` or `unit_range`, see `build_lpips`."""
    weights: Path | None = None
    """File with torchvision's `features.N.*` of the backbone; null: as for the perceptual loss."""
    autocast: bool = False
    """Compute the backbone's features in `runtime.precision`; false: in float32. In bf16 an iteration takes about half
    the time."""


class LpipsLoss(nn.Module):
    """`weight` times the mean LPIPS of a batch. `forward(sr, hr)`: as `LpipsNetwork` → scalar."""

    def __init__(self, options: LpipsLossOptions):
        super().__init__()
        self.options = options
        self.network = build_lpips(options.net, options.weights, options.range, options.autocast)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return self.options.weight * self.network(sr, hr).mean()
