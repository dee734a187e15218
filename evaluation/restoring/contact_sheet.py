"""A page of photos before and after: rows are photos, columns what was done to them. Sizes are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

CELL = 320
"""Side of a cell in pixels."""
ZOOM = 2
"""Each pixel of a part is shown as ZOOM×ZOOM pixels, so that artefacts are seen on any screen."""
_GAP, _LINE = 8, 24  # pixels between cells, and of a line of text
_PAPER, _INK, _MARK = 255, (0, 0, 0), (255, 0, 0)
_LOOKED_AT = 512  # longest side at which detail is looked for: memory and time of a large photo stay small


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part, as a view."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def times(self, scale: int) -> Box:
        """The same part of an image `scale` times as large."""
        return Box(self.top * scale, self.left * scale, self.height * scale, self.width * scale)

    def grown(self, margin: int, shape: tuple[int, ...]) -> Box:
        """With `margin` pixels more on each side, as far as an image of `shape` (height, width, …) has them."""
        top, left = max(0, self.top - margin), max(0, self.left - margin)
        bottom = min(shape[0], self.top + self.height + margin)
        right = min(shape[1], self.left + self.width + margin)
        return Box(top, left, bottom - top, right - left)


@dataclass(frozen=True)
class Row:
    """One photo: a line of text, its preview, and the same part (uint8 RGB, at most CELL / ZOOM a side) by column."""

    name: str
    preview: np.ndarray
    parts: list[np.ndarray]


def detail_box(image: np.ndarray, side: int) -> Box:
    """The part of at most `side`×`side` pixels with the strongest edges: where differences are likely to show."""
    height, width = image.shape[:2]
    shrunk = min(1.0, _LOOKED_AT / max(height, width))
    size = max(1, round(width * shrunk)), max(1, round(height * shrunk))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    edges = sum(np.abs(cv2.Sobel(grey, cv2.CV_32F, *direction)) for direction in [(1, 0), (0, 1)])
    small = [max(1, min(round(side * shrunk), extent)) for extent in grey.shape]
    # The mean over a window by its top left corner; only windows that lie inside are asked.
    means = cv2.boxFilter(edges, -1, (small[1], small[0]), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    means = means[: grey.shape[0] - small[0] + 1, : grey.shape[1] - small[1] + 1]
    row, column = np.unravel_index(np.argmax(means), means.shape)
    box_height, box_width = min(side, height), min(side, width)
    top, left = min(round(row / shrunk), height - box_height), min(round(column / shrunk), width - box_width)
    return Box(top, left, box_height, box_width)


def preview(image: np.ndarray, box: Box) -> np.ndarray:
    """The whole image fitted into a cell, with `box` marked where it is not the whole of it."""
    height, width = image.shape[:2]
    factor = CELL / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    fitted = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    if (box.height, box.width) != (height, width):
        first = round(box.left * factor), round(box.top * factor)
        last = round((box.left + box.width) * factor) - 1, round((box.top + box.height) * factor) - 1
        cv2.rectangle(fitted, first, last, _MARK, 2)
    return fitted


def draw_sheet(titles: list[str], rows: list[Row]) -> np.ndarray:
    """A page, uint8 RGB: titles, and for each row a line of text and its images below it."""
    from matplotlib import get_data_path  # its fonts know more letters than Pillow's own
    from PIL import Image, ImageDraw, ImageFont

    pitch, head = CELL + _GAP, 2 * _GAP + _LINE
    page = np.full((head + len(rows) * (_LINE + pitch), _GAP + len(titles) * pitch, 3), _PAPER, np.uint8)
    for place, row in enumerate(rows):
        top = head + place * (_LINE + pitch) + _LINE
        for column, part in enumerate([row.preview, *(each.repeat(ZOOM, 0).repeat(ZOOM, 1) for each in row.parts)]):
            Box(top, _GAP + column * pitch, *part.shape[:2]).cut(page)[...] = part
    image = Image.fromarray(page)
    draw, fonts = ImageDraw.Draw(image), Path(get_data_path()) / "fonts/ttf"
    bold, plain = (ImageFont.truetype(fonts / f"DejaVuSans{kind}.ttf", 15) for kind in ("-Bold", ""))

    def write(text: str, left: int, top: int, width: int, font: ImageFont.FreeTypeFont) -> None:
        fitting = text
        while fitting and draw.textlength(fitting + "…" * (fitting != text), font=font) > width:
            fitting = fitting[:-1]
        draw.text((left, top), fitting + "…" * (fitting != text), fill=_INK, font=font)

    for column, title in enumerate(titles):
        write(title, _GAP + column * pitch, _GAP, CELL, bold)
    for place, row in enumerate(rows):
        write(row.name, _GAP, head + place * (_LINE + pitch), page.shape[1] - 2 * _GAP, plain)
    return np.asarray(image)
