"""CISR-PSI: artefact removal and super-resolution, unfolded (Luo et al., Signal Processing 205, 2023).

Also arXiv 2103.01698. A step restores the LR image (ARM), then enlarges the restored one (REM); each looks at
the compressed image through the non-local operator (models/nonlocal_prior.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.layers import RCAB, ResidualGroup, attention_has_channels, conv3, upsampler, zero
from models.nonlocal_prior import RELEASED_WINDOW, MaskKind, NonLocalPrior
from models.resampling import bicubic


class CISRPSIOptions(GeneratorOptions):
    """Sizes of CISR-PSI; the defaults are the paper's full model, 2 groups per module its tiny one."""

    type: Literal["cisr_psi"] = "cisr_psi"
    scale: Literal[2, 3, 4]
    """2, 3 or 4."""
    num_feat: int = Field(default=64, ge=2, le=MOST_CHANNELS)
    """Channels of every feature map."""
    reduction: int = Field(default=16, ge=1, le=MOST_CHANNELS)
    """Channel attention squeezes `num_feat` by this factor."""
    arm_groups: int = Field(default=5, ge=1, le=MOST_PARTS)
    """Residual groups of the artefact removal module."""
    rem_groups: int = Field(default=5, ge=1, le=MOST_PARTS)
    """Residual groups of the resolution enhancement module."""
    blocks: int = Field(default=12, ge=1, le=MOST_PARTS)
    """Residual channel attention blocks in each group."""
    steps: int = Field(default=3, ge=1, le=100)
    """Number of unfolding steps: each applies the two modules in turn, with the same weights."""
    window: Annotated[int, Field(le=10**6)] | Literal["none"] = RELEASED_WINDOW
    """The non-local operator splits images of `window`² pixels and more (released: 80); `none`: never."""
    mask: MaskKind = "clamped"
    """Negative block-artefact masks: `clamped` at 0, or left alone (`released`: for released weights)."""
    prior: Literal["nonlocal", "none"] = "nonlocal"
    """Third input of each module: the output of the `nonlocal` operator or, for an ablation (`none`), the compressed
    image instead. The weights keep their shapes; those of the operator are then unused."""

    _attention_has_channels = model_validator(mode="after")(attention_has_channels)

    @model_validator(mode="after")
    def _usable(self) -> CISRPSIOptions:
        if self.window != "none" and self.window < 3:
            raise ValueError(f"window ({self.window}) must be at least 3, or none")
        return self

    def operator(self) -> NonLocalPrior:
        """A non-local operator as these options want it."""
        return NonLocalPrior(None if self.window == "none" else self.window, self.mask)


class AdaptiveCombination(nn.Module):
    """Weighted mean of three images; the weights, three maps that sum to 1, are learned from the images."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Conv2d(9, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1))

    def forward(self, images: Tensor) -> Tensor:
        """`images`: three RGB images side by side, `N×9×h×w` on 0–255 → `N×3×h×w`."""
        weights = self.weigh(images / 255).float().softmax(dim=1)
        return (weights.unsqueeze(2) * images.unflatten(1, (3, 3))).sum(dim=1)


class ArtifactRemovalModule(nn.Module):
    """ARM: the restored LR image from the compressed one and the current HR estimate, all on 0–255."""

    def __init__(self, options: CISRPSIOptions):
        super().__init__()
        feat, self.scale = options.num_feat, options.scale
        self.prior = options.operator()
        self.leaves_prior_out = options.prior == "none"
        self.distill = nn.Sequential(
            nn.Conv2d(9, feat // 2, 2 + self.scale, stride=self.scale, padding=1),
            nn.ReLU(inplace=True),
            conv3(feat // 2, feat),
        )
        self.combine = AdaptiveCombination()
        self.head = conv3(feat, feat)
        self.groups = _groups(options, options.arm_groups)
        self.tail = nn.Sequential(conv3(feat, feat), nn.ReLU(inplace=True), conv3(feat, 3))

    def forward(self, z: Tensor, x_hat: Tensor) -> Tensor:
        """`z` `N×3×h×w`, `x_hat` `N×3×(h·scale)×(w·scale)` → ŷ, of the shape of `z`."""
        down = bicubic(x_hat, (z.shape[2], z.shape[3]))
        prior = z if self.leaves_prior_out else _without_gradient(self.prior, z, down)
        at_hr = [bicubic_up(z, self.scale), x_hat, bicubic_up(prior, self.scale)]
        head = self.head(self.distill(torch.cat(at_hr, dim=1)))
        return self.tail(self.groups(head) + head) + self.combine(torch.cat([z, down, prior], dim=1))


class ResolutionEnhancementModule(nn.Module):
    """REM: the HR estimate from the compressed LR image and the restored one, all on 0–255."""

    def __init__(self, options: CISRPSIOptions):
        super().__init__()
        feat, self.scale = options.num_feat, options.scale
        self.prior = options.operator()
        self.leaves_prior_out = options.prior == "none"
        self.combine = AdaptiveCombination()
        self.head = conv3(9, feat)
        self.groups = _groups(options, options.rem_groups)
        self.upsampler = upsampler(feat, self.scale)
        self.last = conv3(feat, 3)

    def forward(self, z: Tensor, y_hat: Tensor) -> Tensor:
        """`z`, `y_hat` `N×3×h×w` → x̂, `N×3×(h·scale)×(w·scale)`."""
        prior = z if self.leaves_prior_out else _without_gradient(self.prior, z, y_hat)
        images = torch.cat([z, y_hat, prior], dim=1)
        head = self.head(images)
        residual = self.last(self.upsampler(self.groups(head) + head))
        return residual + bicubic_up(self.combine(images), self.scale)


class CISRPSI(Generator):
    """The whole network; works on 0–255 inside, as the released weights were trained.

    The two non-local operators get no gradient here. They are trained by themselves (`NonLocalPrior`), loaded
    into both modules and frozen from the start.
    """

    Options = CISRPSIOptions
    options: CISRPSIOptions

    def __init__(self, options: CISRPSIOptions):
        super().__init__(options)
        self.arm = ArtifactRemovalModule(options)
        self.rem = ResolutionEnhancementModule(options)
        self.arm.prior.requires_grad_(False)
        self.rem.prior.requires_grad_(False)

    @property
    def averages_can_be_held(self) -> bool:
        """Not with the non-local operator: its windows depend on the image's size too."""
        return self.options.prior == "none" and super().averages_can_be_held

    def forward(self, lr: Tensor) -> Tensor:
        """The last step's HR estimate. Shapes and range: see `Generator`."""
        return self.unfold(lr)[-1][1]

    def unfold(self, lr: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(restored LR, HR estimate) of every step, in [0, 1] and shaped like `lr` and `forward(lr)`."""
        estimates = []
        x_hat = bicubic_up(lr, self.scale)
        for _ in range(self.options.steps):
            y_hat, x_hat = self.step(lr, x_hat)
            estimates.append((y_hat, x_hat))
        return estimates

    def step(self, z: Tensor, x_hat: Tensor) -> tuple[Tensor, Tensor]:
        """One unfolding step, all in [0, 1]: what one optimiser step of the training recipe computes.

        Args:
            z: compressed LR image, `N×3×h×w`.
            x_hat: HR estimate, `N×3×(h·scale)×(w·scale)`; `bicubic_up(z, scale)` before the first step.

        Returns:
            ŷ, the restored LR image, and x̂, the next HR estimate.
        """
        z = z * 255
        y_hat = self.arm(z, x_hat * 255)
        return y_hat / 255, self.rem(z, y_hat) / 255

    def start_as_interpolation(self) -> None:
        """Neither module adds anything yet, and their means lean on z and on ŷ: x̂ is nearly bicubic(z)."""
        for last in (self.arm.tail[-1], self.rem.last):
            zero(last)
        for combine, image in ((self.arm.combine, 0), (self.rem.combine, 1)):
            bias = combine.weigh[-1].bias
            assert isinstance(bias, Tensor)
            with torch.no_grad():
                bias[image] = 3.0  # about nine tenths of the softmax

    def nonlocal_prior(self, z: Tensor, guide: Tensor) -> Tensor:
        """The ARM's non-local operator by itself, on 0–255, without gradient; see `NonLocalPrior`."""
        return _without_gradient(self.arm.prior, z, guide)


def _without_gradient(prior: NonLocalPrior, z: Tensor, guide: Tensor) -> Tensor:
    with torch.no_grad():
        u: Tensor = prior(z, guide)
    return u


def bicubic_up(image: Tensor, scale: int) -> Tensor:
    """Torch's bicubic (a = −0.75), `scale` times larger per side; the first HR estimate is made with it."""
    return bicubic(image, (image.shape[2] * scale, image.shape[3] * scale))


def _groups(options: CISRPSIOptions, count: int) -> nn.Sequential:
    feat, reduction = options.num_feat, options.reduction
    return nn.Sequential(
        *[ResidualGroup([RCAB(feat, reduction) for _ in range(options.blocks)], feat) for _ in range(count)]
    )
