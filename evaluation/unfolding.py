"""Images and PSNR of each step of an unfolded network."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Iterator
from dataclasses import astuple, fields
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data.evaluation_sets import EvaluationItem, all_items, load
from data.resize import imresize
from evaluation.figures.unfolding_figure import StepScore, draw
from evaluation.load_models import load_those_there
from evaluation.options import EvaluationOptions, ModelOptions
from evaluation.todo import image_path
from inference.devices import pick_device
from inference.whole_image import to_uint8, to_unit_range
from metrics.psnr_ssim import psnr_y
from models import GENERATORS, Generator, options_in_file
from models.cisr_psi import bicubic_up
from utils.errors import UserError
from utils.files import write_atomically
from utils.images import write_png


def check_unfolding(options: EvaluationOptions) -> None:
    """Check that a model has unfolding steps; one whose weights are missing may have them.

    Raises:
        UserError: no model has unfolding steps.
        WeightsError: a file does not name its network.
    """
    if options.unfolding_steps and not any(_unfolds(model) for model in options.models):
        names = ", ".join(model.name for model in options.models)
        raise UserError(f"unfolding_steps: none of the models ({names}) is unfolded; add a CISR-PSI or leave it out")


def write_unfolding(options: EvaluationOptions) -> list[str]:
    """Unfold every image with every unfolded network; write images, `unfolding.csv` and the figure.

    Images are written to `unfolding/<model>/<set>/<compression>/<image>_step1_sr.png`, `…_step1_restored_lr.png` and so
    on, unless `save_images` is false. Step 0 is the input of the first step: the interpolated LR image, and the
    compressed LR image itself as the restored one.

    Returns:
        The files written in `options.folder`; none if `unfolding_steps` is off or no such model has its weights.

    Raises:
        UserError, WeightsError: as `evaluate`.
    """
    if not options.unfolding_steps:
        return []
    device = pick_device(options.device)
    generators = load_those_there(filter(_unfolds, options.models), options.scale, device)
    if not generators:
        return []
    scores = average_steps(options, generators, device)
    write_atomically(options.folder / "unfolding.csv", _csv(scores))
    for suffix, content in draw(scores, options).items():
        write_atomically(options.folder / f"unfolding.{suffix}", content)
    return ["unfolding.csv", "unfolding.png", "unfolding.pdf", *(["unfolding/"] if options.save_images else [])]


def average_steps(
    options: EvaluationOptions, generators: dict[str, Generator], device: torch.device
) -> list[StepScore]:
    """Unfold all images, write them if requested, and return the means in the order of the tables."""
    items = list(all_items(options.datasets, options.scale))
    figures: dict[tuple[str, str, str, int], list[tuple[float, float]]] = {}
    # The border of the tables in LR pixels, rounded up.
    lr_border = -(-options.shaved // options.scale)
    with tqdm(total=len(items) * len(generators), desc="unfolding", unit="image", disable=None) as bar:
        for item in items:
            pair = load(item, options.scale)
            clean = imresize(pair.hr, 1 / options.scale) if options.scale > 1 else pair.hr
            convention = "grey" if item.grey else options.convention
            for name, generator in generators.items():
                for step, (restored_lr, sr) in enumerate(steps(generator, pair.lr, device)):
                    figures.setdefault((name, item.set_name, item.compression, step), []).append(
                        (
                            psnr_y(sr, pair.hr, options.shaved, convention),
                            psnr_y(restored_lr, clean, lr_border, convention),
                        )
                    )
                    if step and options.save_images:
                        write_png(step_path(options, name, item, step, "restored_lr"), restored_lr)
                        write_png(step_path(options, name, item, step, "sr"), sr)
                bar.update()
    return [
        StepScore(*key, len(pairs), *(statistics.fmean(column) for column in zip(*pairs)))
        for key, pairs in figures.items()
    ]


def steps(generator: Generator, lr: np.ndarray, device: torch.device | str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Step 0 and each step's restored LR and HR image, uint8 h×w×3, rounded half up and clamped.

    Args:
        generator: one with `unfold`.
        lr: uint8 h×w×3 RGB.
    """
    unfold = cast(Callable[[Tensor], list[tuple[Tensor, Tensor]]], generator.unfold)
    with torch.inference_mode():
        batch = to_unit_range(torch.from_numpy(np.ascontiguousarray(lr))[None].to(device))
        for restored_lr, sr in [(batch, bicubic_up(batch, generator.scale)), *unfold(batch)]:
            yield to_uint8(restored_lr[0]), to_uint8(sr[0])


def step_path(options: EvaluationOptions, model: str, item: EvaluationItem, step: int, what: str) -> Path:
    """Path of the image of a step; `what` is `restored_lr` or `sr`."""
    restored = image_path(options, model, item).relative_to(options.folder / "images")
    return options.folder / "unfolding" / restored.parent / f"{item.image}_step{step}_{what}.png"


def _unfolds(model: ModelOptions) -> bool:
    if model.program is not None:
        return False
    generator = model.generator
    if generator is None:
        assert model.weights is not None  # a row without a program has one of the two
        if not model.weights.is_file():
            return True  # not known yet
        generator = options_in_file(model.weights)
    return hasattr(GENERATORS[generator.type], "unfold")


def _csv(scores: list[StepScore]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(StepScore)])
    writer.writerows([f"{v:.6f}" if isinstance(v, float) else v for v in astuple(score)] for score in scores)
    return text.getvalue().encode()
