"""Restore and score: every model on every image of every set at every compression."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from data.evaluation_sets import EvaluationItem, all_items, load
from evaluation.inference import restore
from evaluation.metrics import psnr_y, ssim_y
from evaluation.options import EvaluationOptions, ModelOptions
from models import Generator, build_generator, count_parameters, options_in_file
from utils.errors import UserError
from utils.images import write_png


@dataclass(frozen=True)
class ImageScore:
    """One restored image: PSNR in dB, SSIM, bits per LR pixel (None: not encoded here), seconds of the network."""

    model: str
    dataset: str
    compression: str
    image: str
    psnr_y: float
    ssim_y: float
    bits_per_pixel: float | None
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """All scores, and for each model its size (None: its weights are not there)."""

    scores: list[ImageScore]
    parameters: dict[str, int | None]


def evaluate(options: EvaluationOptions) -> Evaluation:
    """Everything that `options` name; restored images go to `<folder>/images/<model>/<set>/<compression>/`.

    Raises:
        UserError, WeightsError: before anything slow, for options, folders and files that do not fit.
    """
    items = list(all_items(options.datasets, options.scale))
    device = pick_device(options.device)
    generators = {model.name: load_model(model, options.scale, device) for model in options.models}
    scores = []
    there = {name: generator for name, generator in generators.items() if generator is not None}
    for name, generator in generators.items():
        if generator is None:
            weights = next(model.weight_file for model in options.models if model.name == name)
            print(f"{name}: {weights} is not there; its row says so", file=sys.stderr)
    with tqdm(total=len(items) * len(there), desc=options.name, unit="image", disable=None) as bar:
        for item in items:
            pair = load(item, options.scale)
            for name, generator in there.items():
                started = time.perf_counter()
                sr = restore(generator, pair.lr, device)
                seconds = time.perf_counter() - started
                if options.save_images:
                    write_png(image_path(options, name, item), sr)
                arguments = sr, pair.hr, options.shaved, options.convention
                scores.append(
                    ImageScore(
                        name,
                        item.set_name,
                        item.compression,
                        item.image,
                        psnr_y(*arguments),
                        ssim_y(*arguments),
                        pair.bits_per_pixel,
                        seconds,
                    )
                )
                bar.update()
    sizes = {name: None if generator is None else count_parameters(generator) for name, generator in generators.items()}
    return Evaluation(scores, sizes)


def image_path(options: EvaluationOptions, model: str, item: EvaluationItem) -> Path:
    """Where a restored image is written."""
    compression = item.compression.replace(">", "+")
    return options.folder / "images" / model / item.set_name / compression / f"{item.image}.png"


def pick_device(choice: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` mean here.

    Raises:
        UserError: CUDA is asked for and there is none.
    """
    if choice == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda and torch sees no CUDA device; install a CUDA build or use auto")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def load_model(model: ModelOptions, scale: int, device: torch.device) -> Generator | None:
    """A row's network, ready to restore; None where its weights are not there.

    Raises:
        UserError, WeightsError: weights of another scale, or that do not fit.
    """
    if model.weight_file is not None and not model.weight_file.is_file():
        return None
    generator_options = model.generator or options_in_file(model.weights)
    if generator_options.scale != scale:
        raise UserError(
            f"model {model.name!r}: {model.weights} is for scale {generator_options.scale}, scale is {scale}"
        )
    return build_generator(generator_options).eval().to(device)


def load_those_there(models: Iterable[ModelOptions], scale: int, device: torch.device) -> dict[str, Generator]:
    """`load_model` of several rows by name; those that are not there are named on stderr and left out."""
    there = {}
    for model in models:
        generator = load_model(model, scale, device)
        if generator is None:
            print(f"{model.name}: {model.weight_file} is not there; left out", file=sys.stderr)
        else:
            there[model.name] = generator
    return there
