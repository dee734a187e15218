"""Rows of the tables: each restores by a network, by a network for each quality, or by a program."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data.codecs import parse
from data.codecs.base import QualityCodec
from data.evaluation_sets import EvaluationItem, EvaluationPair
from evaluation.load_models import load_colour, load_model
from evaluation.options import EvaluationOptions, ModelOptions
from evaluation.program import Program
from inference.complexity import flops_of_a_megapixel
from inference.consistency import can_be_held
from inference.devices import device_name
from inference.whole_image import restore_unrounded, to_uint8
from metrics.psnr_ssim import Unrounded
from models import Generator, count_parameters
from utils.errors import UserError


@dataclass(frozen=True)
class Cost:
    """Parameters of a model, and floating-point operations for an output of one megapixel (None: unknown)."""

    parameters: int | None
    flops: int | None


class Row(ABC):
    """One row of the tables; `name` is that of the model in the options."""

    name: str

    @abstractmethod
    def takes(self, item: EvaluationItem) -> bool:
        """Whether the row can restore the item; if not, its cell stays empty."""

    @abstractmethod
    def facts(self, item: EvaluationItem) -> dict[str, Any]:
        """Everything besides the item that determines the restored picture, as plain data."""

    @abstractmethod
    def restore(self, pair: EvaluationPair) -> tuple[np.ndarray | Unrounded, float]:
        """`pair.lr` restored (uint8, or unrounded; of the HR image's size), and the seconds that it took.

        Raises:
            ProgramError: the program failed; the row then says so.
        """

    @abstractmethod
    def cost(self) -> Cost:
        """Size and computation of the row's network."""


class NetworkRow(Row):
    """A network on `device`.

    Args:
        networks: by the quality that each is for; under None the one that is for all.
        consistency: bring what is restored into the JPEG's cell, see `inference.whole_image.restore`.
        colour: a network at scale 1 whose colour replaces that of what is restored.
        unrounded: `restore` gives what the network gave, neither rounded nor clamped.
    """

    def __init__(
        self,
        name: str,
        networks: dict[int | None, Generator],
        device: torch.device,
        *,
        consistency: bool = False,
        colour: Generator | None = None,
        unrounded: bool = False,
    ):
        self.name, self.networks, self.device, self.consistency = name, networks, device, consistency
        self.colour, self.unrounded = colour, unrounded
        self._facts = {
            quality: {
                "generator": generator.options.model_dump(mode="json", exclude={"weights"}),
                "weights": _digest(generator),
                "device": device_name(device),
                **({"steps": "of the file, or traced"} if generator.reads_steps else {}),
                **({"consistency": _calibration(generator)} if consistency else {}),
                **({"colour": _digest(colour)} if colour is not None else {}),
            }
            for quality, generator in networks.items()
        }

    def _key(self, compression: str) -> int | None:
        return None if None in self.networks else quality_of(compression)

    def takes(self, item: EvaluationItem) -> bool:
        return self._key(item.compression) in self.networks

    def facts(self, item: EvaluationItem) -> dict[str, Any]:
        return self._facts[self._key(item.compression)]

    def restore(self, pair: EvaluationPair) -> tuple[np.ndarray | Unrounded, float]:
        started = time.perf_counter()
        network = self.networks[self._key(pair.compression)]
        image = restore_unrounded(
            network, pair.lr, self.device, file=pair.file, consistency=self.consistency, colour=self.colour
        )
        sr = Unrounded((image * 255).permute(1, 2, 0).cpu().numpy()) if self.unrounded else to_uint8(image)
        return sr, time.perf_counter() - started

    def cost(self) -> Cost:
        generator = next(iter(self.networks.values()))
        parameters, flops = count_parameters(generator), flops_of_a_megapixel(generator.options)
        if self.colour is None:
            return Cost(parameters, flops)
        of_colour = flops_of_a_megapixel(self.colour.options)  # for a megapixel of LR image
        both = None if flops is None or of_colour is None else flops + of_colour // generator.scale**2
        return Cost(parameters + count_parameters(self.colour), both)


class ProgramRow(Row):
    """A program that runs once for each image."""

    def __init__(self, name: str, program: Program):
        self.name, self.program = name, program

    def takes(self, item: EvaluationItem) -> bool:
        return True

    def facts(self, item: EvaluationItem) -> dict[str, Any]:
        return {"program": self.program.facts}

    def restore(self, pair: EvaluationPair) -> tuple[np.ndarray | Unrounded, float]:
        return self.program(pair.lr, pair.file.data, pair.hr.shape[:2])

    def cost(self) -> Cost:
        return Cost(None, None)


def load_row(model: ModelOptions, options: EvaluationOptions, device: torch.device) -> Row | None:
    """Load a row; None if its weights are missing.

    `{quality}` in the path of the weights stands for the quality of a compression: the row gets a network for each
    quality of the options whose file exists.

    Raises:
        UserError, WeightsError: the weights are for another scale or do not fit.
        ProgramError: the program is not installed.
    """
    if model.program is not None:
        return ProgramRow(model.name, Program(model.program))
    networks: dict[int | None, Generator] = {}
    if not model.is_per_quality:
        generator = load_model(model, options.scale, device)
        if generator is not None:
            networks[None] = generator
    else:
        specs = [spec for dataset in options.datasets if dataset.lr is None for spec in dataset.compressions]
        for quality in dict.fromkeys(map(quality_of, specs)):
            generator = None if quality is None else load_model(model.for_quality(quality), options.scale, device)
            if generator is not None:
                networks[quality] = generator
    if not networks:
        return None
    if model.consistency and not all(map(can_be_held, networks.values())):
        raise UserError(
            f"model {model.name!r}: consistency at scale {options.scale} needs a calibrated network; "
            "`python test.py calibrate` makes one"
        )
    unrounded = options.scored == "subjective_qe"
    return NetworkRow(
        model.name,
        networks,
        device,
        consistency=model.consistency,
        colour=load_colour(model, device),
        unrounded=unrounded,
    )


def quality_of(compression: str) -> int | None:
    """The quality of a compression by one codec; None for chains, `none` and `as is`."""
    codec = None if compression == "as is" else parse(compression)
    return codec.one_quality if isinstance(codec, QualityCodec) else None


def _calibration(generator: Generator) -> Any:
    return True if generator.calibration is None else generator.calibration.written()


def _digest(generator: Generator) -> str:
    """SHA-256 of the loaded weights, independent of their file format."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
