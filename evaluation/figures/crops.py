"""Crops of restored images side by side: the choice of image and crop, and its scores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from data.evaluation_sets import EvaluationItem, EvaluationPair, items_of, load
from evaluation.figures.crop_sheet import Panel, plot_sheet
from evaluation.figures.results import read_table
from evaluation.figures.style import baseline
from evaluation.options import EvaluationOptions
from evaluation.tables.averages import KEYS
from evaluation.todo import image_path
from metrics.measures import MEASURES
from metrics.psnr_ssim import psnr_y, ssim_y
from utils.boxes import Box
from utils.errors import UserError
from utils.images import read_image
from utils.visible import csv_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_BOX = 8
_SIDES = 48, 96  # of a box that is chosen here, in HR pixels


def draw_crops(options: EvaluationOptions, images: list[str] | None, box: str | None) -> dict[str, Figure]:
    """A figure per image, by file name.

    Args:
        images: each as `set/image/compression`; None: from each set the one with the largest gain over the baseline.
        box: `x,y,w,h` in HR pixels for all images; None: where models differ most (`telling_box`).

    Raises:
        UserError: an image is not in the evaluation, restored images are missing, the box is not inside the image, or
            there are no scores to choose an image by.
    """
    wanted = _parsed_box(box)
    figures = {}
    for name in images or _largest_gains(options):
        item = _find(options, name)
        pair = load(item, options.scale)
        pictures = _pictures(options, item, pair)
        where = wanted or telling_box(pair.hr, pictures, _baseline_name(options))
        if where.left + where.width > pair.hr.shape[1] or where.top + where.height > pair.hr.shape[0]:
            raise UserError(f"--box {box}: not inside {name}, which has {pair.hr.shape[1]}×{pair.hr.shape[0]} pixels")
        cells = _cells(options, item, pair, pictures, where)
        title = f"{item.set_name}, {item.image}, ×{options.scale}"
        figures["crops_" + re.sub(r"[^\w.-]+", "_", name)] = plot_sheet(title, pair.hr, where, cells)
    return figures


def telling_box(hr: np.ndarray, pictures: dict[str, np.ndarray], reference: str | None) -> Box:
    """The window in which the mean squared error of the best model is furthest below that of the reference.

    Its side is a quarter of the image's shorter side, from 48 to 96 pixels. Of equal windows the first is returned.

    Args:
        hr, pictures: uint8 h×w×3, the pictures by model.
        reference: one of the models; None, or if it is the only one: the worst model of each window.
    """
    height, width = hr.shape[:2]
    low, high = _SIDES
    side = min(height, width, max(low, min(high, min(height, width) // 4)))
    errors = {}
    for name, picture in pictures.items():
        squared = np.square(picture.astype(np.float32) - hr).mean(axis=2)
        means = cv2.boxFilter(squared, cv2.CV_64F, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
        errors[name] = means[: height - side + 1, : width - side + 1]  # by top left corner, inside the image
    others = [error for name, error in errors.items() if name != reference]
    before = errors[reference] if reference in errors and others else np.max(list(errors.values()), axis=0)
    gain = before - np.min(others or list(errors.values()), axis=0)
    top, left = np.unravel_index(np.argmax(gain), gain.shape)
    return Box(int(top), int(left), side, side)


def _parsed_box(text: str | None) -> Box | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6}),(\d{1,6})", text)
    left, top, width, height = map(int, found.groups()) if found else (0, 0, 0, 0)
    if min(width, height) < SMALLEST_BOX:
        raise UserError(f"--box {text}: give x,y,w,h in HR pixels, at least {SMALLEST_BOX} a side: 96,64,80,80")
    return Box(top, left, height, width)


def _largest_gains(options: EvaluationOptions) -> list[str]:
    """For each set the image × compression with the largest gain of the best model over the baseline (or the worst)."""
    table = read_table(options, "images.csv")
    measure = next((name for name in ("psnr_y", *options.metrics) if name in table), None)
    if measure is None or "image" not in table:
        raise UserError(f"{options.folder / 'images.csv'}: no scores to choose by; name images with --image")
    sign = 1 if MEASURES[measure].more_is_better else -1
    reference = _baseline_name(options)
    names = []
    for dataset in options.datasets:
        best: tuple[float, str] | None = None
        here = table[table["dataset"] == dataset.name]
        for (image, compression), rows in here.groupby(["image", "compression"], sort=False):
            scores = sign * rows.set_index(KEYS[0])[measure].astype(float)
            others = scores.drop(reference, errors="ignore")
            if not len(others) or others.isna().all():
                continue
            gain = others.max() - (scores[reference] if reference is not None and reference in scores else others.min())
            if best is None or gain > best[0]:
                best = gain, f"{dataset.name}/{image}/{compression}"
        if best is not None:
            names.append(best[1])
    if not names:
        raise UserError(f"{options.folder / 'images.csv'}: no model has scores; evaluate one, or use --image")
    return names


def _find(options: EvaluationOptions, name: str) -> EvaluationItem:
    parts = name.split("/")
    if len(parts) != 3:
        raise UserError(f"--image {name}: give set/image/compression, for instance Kodak24/kodim19/jpeg10")
    dataset = next((each for each in options.datasets if each.name == parts[0]), None)
    if dataset is None:
        known = ", ".join(each.name for each in options.datasets)
        raise UserError(f"--image {name}: no set {parts[0]!r} in this evaluation; its sets: {known}")
    items = items_of(dataset, options.scale)
    for item in items:
        # As typed, or as written in images.csv.
        if item.compression == parts[2] and parts[1] in (item.image, csv_cell(item.image)):
            return item
    images, compressions = (list(dict.fromkeys(values)) for values in zip(*((i.image, i.compression) for i in items)))
    for what, value, there in [("image", parts[1], images), ("compression", parts[2], compressions)]:
        if value not in there:
            listed = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
            raise UserError(f"--image {name}: no {what} {value!r} in {parts[0]}; there are {listed}")
    raise AssertionError("every image has every compression")


def _pictures(options: EvaluationOptions, item: EvaluationItem, pair: EvaluationPair) -> dict[str, np.ndarray]:
    """Restored images by model, without models whose weights and pictures are missing."""
    pictures = {}
    for model in options.models:
        path = image_path(options, model.name, item)
        if path.is_file():
            pictures[model.name] = _of_size(path, pair.hr)
        elif model.program is None and (model.weight_file is None or model.weight_file.is_file()):
            raise UserError(f"{path}: not there; run `bash eval.sh` with this options file and save_images=true")
    if not pictures:
        raise UserError(f"{options.folder}: no restored images; none of the models has its weights")
    return pictures


def _of_size(path: Path, hr: np.ndarray) -> np.ndarray:
    picture = read_image(path)
    if picture.shape != hr.shape:
        raise UserError(
            f"{path}: {picture.shape[1]}×{picture.shape[0]} pixels where its original has {hr.shape[1]}×{hr.shape[0]}; "
            "run `bash eval.sh` again"
        )
    return picture


def _cells(
    options: EvaluationOptions,
    item: EvaluationItem,
    pair: EvaluationPair,
    pictures: dict[str, np.ndarray],
    box: Box,
) -> list[Panel]:
    """HR, the compressed image, every model. At scale 1 the baseline is the compressed image and is shown once."""
    convention = "grey" if item.grey else options.convention
    scores = {
        name: (
            psnr_y(picture, pair.hr, options.shaved, convention),
            ssim_y(picture, pair.hr, options.shaved, convention),
        )
        for name, picture in pictures.items()
    }
    best = max(psnr for psnr, _ in scores.values())
    reference = _baseline_name(options)
    large = pair.lr.repeat(options.scale, 0).repeat(options.scale, 1)
    rate = "" if pair.bits_per_pixel is None else f"{pair.bits_per_pixel:.2f} bpp"
    cells = [Panel("HR", box.cut(pair.hr), "Y-PSNR (dB) / SSIM")]
    if options.scale > 1 or reference not in pictures:
        cells.append(Panel(f"LR, {item.compression}", box.cut(large), rate))
    for name, picture in pictures.items():
        psnr, ssim = scores[name]
        shown = f"{name}, {item.compression}" if options.scale == 1 and name == reference else name
        cells.append(Panel(shown, box.cut(picture), f"{psnr:.2f} / {ssim:.4f}", best=psnr == best))
    return cells


def _baseline_name(options: EvaluationOptions) -> str | None:
    model = baseline(options)
    return None if model is None else model.name
