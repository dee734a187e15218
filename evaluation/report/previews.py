"""The images of a report, and crops of their pictures that are small enough for the page."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from data.evaluation_sets import EvaluationItem, all_items, load
from evaluation.evaluate import Evaluation
from evaluation.options import EvaluationOptions
from evaluation.todo import image_path
from utils.boxes import Box, detail_box
from utils.cores import usable_cores
from utils.images import read_image

SIDE = 320
"""Largest side of a shown crop in pixels."""
QUALITY = 92
"""JPEG quality of the previews; chroma is not subsampled, so that colours can be compared too."""
MOST = 8
"""Largest number of shown images of a set."""
_THUMBNAIL = 176  # longest side of the thumbnail, which shows where the crop is


@dataclass(frozen=True)
class Preview:
    """The same crop of every picture of one image.

    Attributes:
        items: the image at each compression.
        size: height and width of the HR image.
        box: the crop in HR pixels; a multiple of the scale.
        thumbnail: the HR image as a data URI; empty if the crop covers the image.
        pictures: data URIs without repetition.
        shown: for each item, for the input, each model and the HR image: an index into `pictures`, or None if the
            picture is missing. The input has the size of the LR image.
    """

    items: tuple[EvaluationItem, ...]
    size: tuple[int, int]
    box: Box
    thumbnail: str
    pictures: tuple[str, ...]
    shown: tuple[tuple[int | None, ...], ...]

    @property
    def dataset(self) -> str:
        """Name of the set."""
        return self.items[0].set_name

    @property
    def image(self) -> str:
        """Base name of the image."""
        return self.items[0].image

    @property
    def bytes(self) -> int:
        """Bytes of its pictures in the page."""
        return len(self.thumbnail) + sum(map(len, self.pictures))


def models_there(evaluation: Evaluation) -> list[str]:
    """The models with restored images, in order."""
    return [name for name, cost in evaluation.costs.items() if cost is not None and name not in evaluation.failed]


def make_previews(evaluation: Evaluation, options: EvaluationOptions, budget: int) -> list[Preview]:
    """Previews of up to `MOST` images of each set, together at most `budget` bytes; the sets take turns.

    Images are chosen evenly among the names of a set, independent of their scores; the crop is the one with the
    strongest edges of the HR image. The first image that does not fit ends the list.

    Raises:
        ImageError, CodecError: a source or restored image cannot be read.
    """
    sets: dict[str, dict[str, list[EvaluationItem]]] = {}
    for item in all_items(options.datasets, options.scale):
        sets.setdefault(item.set_name, {}).setdefault(item.image, []).append(item)
    orders = [[images[name] for name in spread(list(images), MOST)] for images in sets.values()]
    turns = [[order[turn] for order in orders if turn < len(order)] for turn in range(max(map(len, orders)))]
    models = models_there(evaluation)
    found: list[Preview] = []
    with (
        ThreadPoolExecutor(min(4, usable_cores())) as pool,
        tqdm(total=sum(map(len, turns)), desc="report", unit="image", leave=False, disable=None) as bar,
    ):
        for turn in turns:
            for items in turn:
                preview = _preview(items, models, options, pool.map)
                budget -= preview.bytes
                if budget < 0:
                    return found
                found.append(preview)
                bar.update()
    return found


def spread(names: list[str], most: int) -> list[str]:
    """At most `most` of `names`, evenly spaced, in an order whose every prefix is evenly spaced too."""
    count = min(most, len(names))
    bits = max(1, (count - 1).bit_length())
    order = sorted(range(count), key=lambda place: f"{place:0{bits}b}"[::-1])
    return [names[place * len(names) // count] for place in order]


def _preview(items: list[EvaluationItem], models: list[str], options: EvaluationOptions, map_: Callable) -> Preview:
    """The preview of one image at each compression."""
    parts = list(map_(lambda item: _parts(item, models, options), items))
    size, box, thumbnail, _ = parts[0]
    places: dict[str, int] = {}  # HR is shared by all compressions, and by input and bicubic at scale 1
    shown = tuple(
        tuple(None if uri is None else places.setdefault(uri, len(places)) for uri in uris) for *_, uris in parts
    )
    return Preview(tuple(items), size, box, thumbnail, tuple(places), shown)


def _parts(
    item: EvaluationItem, models: list[str], options: EvaluationOptions
) -> tuple[tuple[int, int], Box, str, list[str | None]]:
    """At one compression: size of the HR image, box, thumbnail, and the crops of input, models and HR image."""
    pair = load(item, options.scale)
    size = pair.hr.shape[:2]
    around = detail_box(pair.hr, SIDE)
    lr_box = Box(*(side // options.scale for side in (around.top, around.left, around.height, around.width)))
    box = lr_box.times(options.scale)
    uris: list[str | None] = [data_uri(lr_box.cut(pair.lr))]
    for model in models:
        path = image_path(options, model, item)
        sr = read_image(path) if path.is_file() else None
        uris.append(data_uri(box.cut(sr)) if sr is not None and sr.shape == pair.hr.shape else None)
    uris.append(data_uri(box.cut(pair.hr)))
    factor = min(1.0, _THUMBNAIL / max(size))
    small = [max(1, round(side * factor)) for side in size]
    whole = (box.height, box.width) == size
    thumbnail = "" if whole else data_uri(cv2.resize(pair.hr, small[::-1], interpolation=cv2.INTER_AREA))
    return size, box, thumbnail, uris


def data_uri(image: np.ndarray) -> str:
    """A uint8 RGB image as JPEG of `QUALITY`, 4:4:4, in base64."""
    settings = {
        cv2.IMWRITE_JPEG_QUALITY: QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        cv2.IMWRITE_JPEG_OPTIMIZE: 1,
    }
    flat = [number for setting in settings.items() for number in setting]
    data = cv2.imencode(".jpg", cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR), flat)[1]
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
