"""Photos without ground truth, for example from social media: restored by every model, shown side by side."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import count, repeat
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.evaluation_sets import photos_of
from data.resize import imresize
from evaluation.load_models import is_there, load_those_there, why_not_there
from evaluation.options import EvaluationOptions
from evaluation.photos.contact_sheet import CELL, ZOOM, SheetRow, draw_sheet, preview
from inference.devices import pick_device
from inference.restorer import Restorer
from utils.boxes import Box, detail_box
from utils.cli import one_line
from utils.errors import UserError
from utils.images import ImageError, image_size, read_image, write_png
from utils.visible import visible

ROWS = 6
"""Photos on a page."""
_MARGIN = 4  # LR pixels around an enlarged part: the cubic kernel reaches 2


@dataclass
class RestoredPhotos:
    """Files written in `options.folder` besides `images/`, and a line for each photo that could not be read."""

    written: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def check_photos(options: EvaluationOptions) -> None:
    """Check all folders and file headers before anything slow.

    Raises:
        UserError: a folder cannot be used or has no readable photo; or no model has its weights.
    """
    for photos in options.photos:
        refused = None
        for path in photos_of(photos).values():
            try:
                image_size(path)
                break
            except ImageError as error:
                refused = refused or error
        else:
            raise UserError(f"photos: none of {photos.folder} can be read; the first: {refused}")
    missing = [f"{model.name}: {why_not_there(model)}" for model in options.models if not is_there(model)]
    if options.photos and len(missing) == len(options.models):
        raise UserError(f"photos: none of the models can restore them ({'; '.join(missing)})")


def restore_photos(options: EvaluationOptions) -> RestoredPhotos:
    """Restore every photo by every model; write `images/<model>/<set>/<photo>.png` and sheets under `photos/`.

    A sheet is `photos/<set>.png`, or `photos/<set>/page1.png` and so on for a longer set. Each row shows a photo: a
    preview with a marked part, that part enlarged by MATLAB's bicubic, and restored by each model. Large photos are
    restored in tiles, as by `test.py restore`. A photo that cannot be read does not stop the others.

    Raises:
        UserError, WeightsError: as `evaluate` and `check_photos`.
    """
    done = RestoredPhotos()
    if not options.photos:
        return done
    device = pick_device(options.device)
    generators = load_those_there(options.models, options.scale, device)
    restorers = {name: Restorer(generator, device) for name, generator in generators.items()}
    titles = ["photo", f"input, bicubic ×{options.scale}", *restorers]
    for photo_set in options.photos:
        paths = photos_of(photo_set)
        _remove_sheets(options, photo_set.name)
        rows: list[SheetRow] = []
        pages = count(1) if len(paths) > ROWS else repeat(None)
        for name, path in tqdm(paths.items(), desc=photo_set.name, unit="photo", disable=None):
            try:
                lr = read_image(path)
            except ImageError as error:
                done.failed.append(one_line(error))
                continue
            box = detail_box(lr, CELL // (ZOOM * options.scale))
            parts = [enlarged(lr, box, options.scale)]
            for model, restorer in restorers.items():
                sr = restorer(lr)
                if restorer.note:
                    tqdm.write(visible(f"note: {path}: {model}: {restorer.note}"), file=sys.stderr)
                if options.save_images:
                    write_png(options.folder / "images" / model / photo_set.name / f"{name}.png", sr)
                parts.append(box.times(options.scale).cut(sr).copy())  # a view would keep the photo in memory
            rows.append(SheetRow(f"{path.name}, {lr.shape[1]}×{lr.shape[0]} pixels", preview(lr, box), parts))
            if len(rows) == ROWS:
                write_png(sheet_path(options, photo_set.name, next(pages)), draw_sheet(titles, rows))
                rows = []
        if rows:
            write_png(sheet_path(options, photo_set.name, next(pages)), draw_sheet(titles, rows))
    done.written = ["photos/"]
    return done


def enlarged(lr: np.ndarray, box: Box, scale: int) -> np.ndarray:
    """A part of the photo after MATLAB's bicubic enlarges the photo."""
    around = box.grown(_MARGIN, lr.shape)
    whole = imresize(around.cut(lr), scale) if scale > 1 else around.cut(lr)
    return Box(box.top - around.top, box.left - around.left, box.height, box.width).times(scale).cut(whole)


def sheet_path(options: EvaluationOptions, name: str, page: int | None) -> Path:
    """Path of a sheet; `page` from 1, None if there is only one."""
    return options.folder / "photos" / (f"{name}.png" if page is None else f"{name}/page{page}.png")


def _remove_sheets(options: EvaluationOptions, name: str) -> None:
    """Remove the sheets of an earlier run, which may have had more pages."""
    old = [sheet_path(options, name, None), *sheet_path(options, name, 1).parent.glob("page*.png")]
    for path in old:
        path.unlink(missing_ok=True)
