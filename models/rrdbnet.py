"""RRDBNet, the generator of ESRGAN, for super-resolution and for quality enhancement.

Wang et al., ESRGAN, ECCVW 2018 (arXiv 1809.00219); at scale 1 the variant of SubjectiveQE-ESRGAN; with
pixel-unshuffle the variant of Real-ESRGAN (Wang et al., ICCVW 2021, arXiv 2107.10833).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.checkpoints import read_renamed
from models.generator import MOST_CHANNELS, MOST_PARTS, Generator, GeneratorOptions
from models.interpolation_start import carry_image
from models.layers import conv3, pad_to_multiple, to_image3, zero
from models.weight_files import WeightsError


class RRDBNetOptions(GeneratorOptions):
    """Scale and sizes of RRDBNet: what is left out is read off `weights`, or without them as published.

    Published (`num_feat`, `num_block`, `num_grow_ch`): 32, 8, 16 for quality enhancement, that is scale 1
    without pixel-unshuffle; 64, 23, 32 for all else. `resolved()` fills them in.
    """

    type: Literal["rrdbnet"] = "rrdbnet"
    scale: Literal[1, 2, 4] | None = None  # type: ignore[assignment]  # an int once `resolved`
    """1, 2 or 4; needed where no `weights` tell."""
    num_feat: int | None = Field(default=None, ge=1, le=MOST_CHANNELS)
    """Channels between the blocks."""
    num_block: int | None = Field(default=None, ge=1, le=MOST_PARTS)
    """Residual-in-residual dense blocks."""
    num_grow_ch: int | None = Field(default=None, ge=1, le=MOST_CHANNELS)
    """Channels that each layer of a dense block adds."""
    pixel_unshuffle: bool | None = None
    """Fold 2×2 (scale 2) or 4×4 (scale 1) pixels into channels and run the ×4 network on them, as BasicSR's
    ×2 and ×1 models do. Without weights: true at scale 2, else false. Scale 1 without it is quality
    enhancement, scale 2 without it upsamples once."""
    checkpointing: bool = False
    """Recompute each dense block in the backward pass: less memory for training, more time."""

    @model_validator(mode="after")
    def _describes_a_network(self) -> RRDBNetOptions:
        if self.scale is None and self.weights is None:
            raise ValueError("give scale (1, 2 or 4), or weights to read it from")
        if self.scale == 4 and self.pixel_unshuffle:
            raise ValueError("pixel_unshuffle is for scale 1 and 2 (the ×4 network has no pixels to fold)")
        return self

    def resolved(self) -> RRDBNetOptions:
        """These options with every size filled in: first from `weights`, then with the published sizes."""
        given = self.model_dump(exclude_none=True)
        if type(self).model_fields.keys() - given.keys() <= {"weights"}:
            return self
        read = _sizes_in(read_renamed(self.weights, self.type)) if self.weights else {}
        if self.scale not in (None, read.get("scale")):  # load_weights will name what does not fit
            read.pop("pixel_unshuffle", None)
        sizes = {**read, **given}
        sizes.setdefault("scale", 4)  # only for a file of another network, which load_weights will name
        sizes.setdefault("pixel_unshuffle", sizes["scale"] == 2)
        enhances = sizes["scale"] == 1 and not sizes["pixel_unshuffle"]
        published = (32, 8, 16) if enhances else (64, 23, 32)
        for name, size in zip(("num_feat", "num_block", "num_grow_ch"), published, strict=True):
            sizes.setdefault(name, size)
        try:
            return RRDBNetOptions.model_validate(sizes)
        except ValidationError as error:  # what was given was valid, so it is what was read
            first = error.errors()[0]
            told = f"{first['loc'][0]} {first['input']}"
            raise WeightsError(f"{self.weights}: its tensors tell {told}, which no network has") from None


def is_rrdbnet(weights: Path) -> bool:
    """Whether a weight file holds a whole RRDBNet of any published format, as far as its sizes can be read.

    Raises:
        models.WeightsError: a file that cannot be read.
    """
    return _sizes_in(read_renamed(weights, "rrdbnet")).keys() >= {"num_feat", "scale"}


def _sizes_in(state: dict[str, Tensor]) -> dict[str, int | bool]:
    """The options that a weight file (in our names) tells; a damaged file tells fewer."""
    sizes: dict[str, int | bool] = {}
    pattern = re.compile(r"body\.\d+\.rdb\d\.conv1\.weight$")
    dense = [tensor.shape for name, tensor in state.items() if pattern.match(name) and tensor.ndim == 4]
    if dense:
        shape = Counter(dense).most_common(1)[0][0]  # one damaged tensor is then the one that is named
        sizes |= {"num_grow_ch": shape[0], "num_feat": shape[1]}
    blocks = {int(found[1]) for name in state if (found := re.match(r"body\.(\d+)\.", name))}
    if blocks:
        sizes["num_block"] = len(blocks)
        doublings = len({found[1] for name in state if (found := re.match(r"conv_up([12])\.", name))})
        first = state.get("conv_first.weight")
        channels = first.shape[1] if first is not None and first.ndim == 4 else 3
        folded = {12: 2, 48: 4}.get(channels, 1) if doublings == 2 else 1
        sizes |= {"scale": 2**doublings // folded, "pixel_unshuffle": folded > 1}
    return sizes


class DenseBlock(nn.Module):
    """Five 3×3 convolutions, each on the concatenation of all before it; ×0.2, plus a skip (section 3.1)."""

    def __init__(self, num_feat: int, num_grow_ch: int):
        super().__init__()
        self.conv1 = conv3(num_feat, num_grow_ch)
        self.conv2 = conv3(num_feat + num_grow_ch, num_grow_ch)
        self.conv3 = conv3(num_feat + 2 * num_grow_ch, num_grow_ch)
        self.conv4 = conv3(num_feat + 3 * num_grow_ch, num_grow_ch)
        self.conv5 = conv3(num_feat + 4 * num_grow_ch, num_feat)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            # The paper's "smaller initialisation": a tenth of Kaiming's keeps a deep pile of residuals calm.
            nn.init.kaiming_normal_(conv.weight)
            with torch.no_grad():
                conv.weight.mul_(0.1)
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, features: Tensor) -> Tensor:
        dense = [features]
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            dense.append(_activate(conv(torch.cat(dense, dim=1))))
        return torch.add(features, self.conv5(torch.cat(dense, dim=1)), alpha=0.2)


class ResidualInResidualDenseBlock(nn.Module):
    """Three dense blocks, ×0.2, plus a skip. `checkpointing`: their inner features are not kept."""

    def __init__(self, num_feat: int, num_grow_ch: int, *, checkpointing: bool):
        super().__init__()
        self.checkpointing = checkpointing
        self.rdb1 = DenseBlock(num_feat, num_grow_ch)
        self.rdb2 = DenseBlock(num_feat, num_grow_ch)
        self.rdb3 = DenseBlock(num_feat, num_grow_ch)

    def forward(self, features: Tensor) -> Tensor:
        body = features
        for block in (self.rdb1, self.rdb2, self.rdb3):
            if self.checkpointing and torch.is_grad_enabled():
                body = checkpoint(block, body, use_reentrant=False, preserve_rng_state=False)
            else:
                body = block(body)
        return torch.add(features, body, alpha=0.2)


class RRDBNet(Generator):
    """The whole network; its tensors are named as in BasicSR's files.

    With pixel-unshuffle, images whose sides are no multiple of its factor are padded by reflection, and the
    output is cropped.
    """

    Options = RRDBNetOptions
    options: RRDBNetOptions

    def __init__(self, options: RRDBNetOptions):
        super().__init__(options)
        options = self.options  # nothing left open
        feat, grow, blocks = options.num_feat, options.num_grow_ch, options.num_block
        assert feat is not None and grow is not None and blocks is not None  # `resolved`
        self.folded = 4 // self.scale if options.pixel_unshuffle else 1
        self.doublings = (self.scale * self.folded).bit_length() - 1
        self.conv_first = conv3(3 * self.folded**2, feat)
        self.body = nn.Sequential(
            *(ResidualInResidualDenseBlock(feat, grow, checkpointing=options.checkpointing) for _ in range(blocks))
        )
        self.conv_body = conv3(feat, feat)
        for stage in range(1, self.doublings + 1):
            self.add_module(f"conv_up{stage}", conv3(feat, feat))
        if self.doublings:
            self.conv_hr = conv3(feat, feat)
        self.conv_last = to_image3(feat)

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`."""
        height, width = lr.shape[2:]
        if self.folded > 1:
            lr = F.pixel_unshuffle(pad_to_multiple(lr, self.folded), self.folded)
        features = self.conv_first(lr)
        features = features + self.conv_body(self.body(features))
        if not self.doublings:
            return self.conv_last(F.leaky_relu(features, 0.1, inplace=True))
        for stage in range(1, self.doublings + 1):
            features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = _activate(self.get_submodule(f"conv_up{stage}")(features))
        sr = self.conv_last(_activate(self.conv_hr(features)))
        return sr[..., : height * self.scale, : width * self.scale]

    def start_as_interpolation(self) -> None:
        """Three feature channels carry the image through, upscaled to the nearest pixel; the body adds nothing yet."""
        if self.folded > 1:
            super().start_as_interpolation()  # refused: the image lies folded in the first layer
        zero(self.conv_body)
        ups = [self.get_submodule(f"conv_up{stage}") for stage in range(1, self.doublings + 1)]
        for conv in [self.conv_first, *ups, *([self.conv_hr] if ups else []), self.conv_last]:
            assert isinstance(conv, nn.Conv2d)
            carry_image(conv)
        nn.init.zeros_(self.conv_last.weight[:, 3:])


def _activate(convolved: Tensor) -> Tensor:
    return F.leaky_relu(convolved, 0.2, inplace=True)  # nothing else needs a convolution's raw output
