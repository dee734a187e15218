"""Networks. `build_generator` makes one from options; `load_weights` fills it from a file.

A new generator is one file here and one import below (docs/adding_a_generator.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from models.arcnn import ARCNN
from models.bicubic import Bicubic
from models.calibration import calibration_in
from models.checkpoints import build_with_weights, load_weights
from models.cisr_psi import CISRPSI
from models.cisrnet import CISRNet
from models.discriminator import Discriminator, DiscriminatorOptions, build_discriminator
from models.dncnn import DnCNN
from models.generator import Generator, GeneratorOptions, count_parameters
from models.rcan import RCAN
from models.rdn import RDN
from models.residual_unet import ResidualUNet
from models.rrdbnet import RRDBNet, is_rrdbnet
from models.spandrel_model import SpandrelModel, SpandrelOptions, recognise
from models.vdsr import VDSR
from models.weight_files import WeightsError, about
from utils.options.types import OneOf

GENERATORS: dict[str, type[Generator]] = {
    cls.Options.model_fields["type"].default: cls for cls in Generator.__subclasses__()
}
AnyGeneratorOptions = Annotated[GeneratorOptions, OneOf(cls.Options for cls in GENERATORS.values())]


def build_generator(options: dict[str, Any] | GeneratorOptions) -> Generator:
    """The network that `options` describe, with its `weights` loaded where given.

    Args:
        options: typed options, or a mapping with `type`, `scale` and the network's own keys.

    Raises:
        pydantic.ValidationError: a mapping that does not describe a network.
        WeightsError: weights that cannot be read or do not fit.
    """
    if isinstance(options, dict):
        options = TypeAdapter(AnyGeneratorOptions).validate_python(options, strict=False)
    network = GENERATORS[options.type]
    if options.weights is None or network.reads_its_weights:
        return network(options)
    generator = build_with_weights(lambda: network(options), options.weights)
    generator.calibration = calibration_in(options.weights)
    return generator


def options_in_file(weights: Path) -> GeneratorOptions:
    """The generator that a file is for, with that file as its weights.

    A file exported here says what it is; of others, RRDBNet's show it by their tensors, sizes included, and the
    networks that spandrel knows, where it is installed.

    Raises:
        WeightsError: the file is missing, or does not say what it is.
    """
    written = about(weights).get("generator")
    if written is None and is_rrdbnet(weights):
        return RRDBNet.Options(weights=weights).resolved()
    try:
        if written is None:
            return SpandrelOptions(scale=recognise(weights).scale, weights=weights)
        options = TypeAdapter(AnyGeneratorOptions).validate_json(json.dumps(written), strict=True)
        return options.model_copy(update={"weights": weights})
    except (ValidationError, WeightsError) as error:
        if isinstance(error, WeightsError):
            why = str(error).removeprefix(f"{weights}: ")
        else:
            first = error.errors()[0]
            why = f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}".removeprefix(": ")
        raise WeightsError(
            f"{weights}: does not say which network it is for; give `generator` with type and sizes in an options "
            f"file ({why})"
        ) from None


__all__ = [
    "ARCNN",
    "CISRPSI",
    "GENERATORS",
    "RCAN",
    "RDN",
    "VDSR",
    "AnyGeneratorOptions",
    "Bicubic",
    "CISRNet",
    "Discriminator",
    "DiscriminatorOptions",
    "DnCNN",
    "Generator",
    "GeneratorOptions",
    "RRDBNet",
    "ResidualUNet",
    "SpandrelModel",
    "WeightsError",
    "build_discriminator",
    "build_generator",
    "count_parameters",
    "load_weights",
    "options_in_file",
]
