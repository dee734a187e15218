"""Networks of others, recognised by their weight files with spandrel: rows beside ours, for inference alone.

spandrel (github.com/chaiNNer-org/spandrel, MIT) is an optional extra: `pip install -r requirements-spandrel.txt`. It is
given tensors that `models.weight_files` has read, so that its own unpickler opens no file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from models.checkpoints import ceiling
from models.generator import Generator, GeneratorOptions
from models.luma import Luma, restore_luma
from models.weight_files import WeightsError, read_tensors, refuse_not_finite

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor


class SpandrelOptions(GeneratorOptions):
    """A network that spandrel recognises by its weight file, sizes included; for inference, not for training."""

    type: Literal["spandrel"] = "spandrel"
    weights: Path
    """The file, as it was published: `.pth`, `.pt`, `.ckpt` or `.safetensors`."""
    luma: Luma | None = None
    """For networks of one channel, at scale 1: the Y that they restore of colour images, whose Cb and Cr stay as they
    are: `full` (0 to 255) or `limited` (16 to 235). Null: the network is for RGB."""


class SpandrelModel(Generator):
    """A network of others; images are padded by reflection to the sizes that it takes, and its output cropped.

    Other than our networks' its output is clamped to [0, 1].

    Raises:
        WeightsError: spandrel is missing, does not know the network, or reads another scale off the file; or the
            network is not for RGB images, or with `luma` not for one channel at scale 1.
    """

    Options = SpandrelOptions
    options: SpandrelOptions
    reads_its_weights = True
    trainable = False

    def __init__(self, options: SpandrelOptions):
        super().__init__(options)
        if options.weights is None:
            raise RuntimeError("a spandrel network cannot be built without its weight file")
        self.descriptor = recognise(options.weights, 3 if options.luma is None else 1)
        self.network = self.descriptor.model
        if self.descriptor.scale != options.scale:
            raise WeightsError(
                f"{options.weights}: a ×{self.descriptor.scale} {self.descriptor.architecture.name}, "
                f"scale is {options.scale}"
            )

    @property
    def looks_at_whole(self) -> bool:
        from spandrel import ModelTiling

        return super().looks_at_whole or self.descriptor.tiling is not ModelTiling.SUPPORTED

    @property
    def least_side(self) -> int:
        wanted = self.descriptor.size_requirements
        return super().least_side + int(max(wanted.get_padding(super().least_side, super().least_side)))

    def forward(self, lr: Tensor) -> Tensor:
        """Shapes and range: see `Generator`; no gradients."""
        if self.options.luma is not None:
            return torch.cat([restore_luma(self.descriptor, image[None], self.options.luma) for image in lr])
        return torch.cat([self.descriptor(image[None]) for image in lr])  # it takes one image at a time


def recognise(weights: Path, wanted: int = 3) -> ImageModelDescriptor:
    """A network for images of `wanted` channels, filled from a weight file.

    Raises:
        WeightsError: as `SpandrelModel`.
    """
    state = read_tensors(weights)
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ModuleNotFoundError:
        raise WeightsError(
            f"{weights}: needs spandrel, which is not installed; `pip install -r requirements-spandrel.txt`"
        ) from None
    try:
        with ceiling(weights, tensors=2 * len(state), numbers=2 * sum(tensor.numel() for tensor in state.values())):
            descriptor = ModelLoader().load_from_state_dict(state)
    except UnsupportedModelError:
        raise WeightsError(f"{weights}: not a network that spandrel knows") from None
    except WeightsError:
        raise
    except Exception as error:  # its readers of sizes raise what tensors of another shape or name happen to cause
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{weights}: spandrel cannot load it ({type(error).__name__}: {reason})") from None
    name, channels = descriptor.architecture.name, (descriptor.input_channels, descriptor.output_channels)
    if not isinstance(descriptor, ImageModelDescriptor):
        raise WeightsError(f"{weights}: {name} fills masked parts of images, and there are no masks here")
    if channels == (1, 1) != (wanted, wanted):
        raise WeightsError(
            f"{weights}: this {name} is for one channel; it restores the Y of colour images with `luma: full` under "
            "`generator` in an options file"
        )
    if channels != (wanted, wanted):
        raise WeightsError(
            f"{weights}: this {name} takes images of {channels[0]} channels and gives {channels[1]}; only networks for "
            f"{'RGB' if wanted == 3 else 'one channel (`luma`)'} can be used so"
        )
    if wanted == 1 and descriptor.scale != 1:
        raise WeightsError(f"{weights}: a ×{descriptor.scale} {name} of one channel; only those of scale 1 can be used")
    # Its buffers may hold infinities on purpose, masks of attention say.
    refuse_not_finite(descriptor.model.named_parameters(), weights)
    return descriptor.eval()
