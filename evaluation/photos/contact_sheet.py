"""A page of photos before and after restoration: rows are photos, columns are models. Sizes are bounded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from utils.boxes import Box
from utils.visible import visible

CELL = 320
"""Side of a cell in pixels."""
ZOOM = 2
"""Each pixel of a part is shown as ZOOM×ZOOM pixels, so that artefacts are visible on any screen."""
_GAP, _LINE = 8, 24  # pixels between cells, and of a line of text
_PAPER, _INK, _MARK = 255, (0, 0, 0), (255, 0, 0)


@dataclass(frozen=True)
class SheetRow:
    """One photo: a line of text, its preview, and the same part (uint8 RGB, at most CELL / ZOOM a side) by column."""

    name: str
    preview: np.ndarray
    parts: list[np.ndarray]


def preview(image: np.ndarray, box: Box) -> np.ndarray:
    """The image fitted into a cell, with `box` marked unless it covers the image."""
    height, width = image.shape[:2]
    factor = CELL / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    fitted = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    if (box.height, box.width) != (height, width):
        first = round(box.left * factor), round(box.top * factor)
        last = round((box.left + box.width) * factor) - 1, round((box.top + box.height) * factor) - 1
        cv2.rectangle(fitted, first, last, _MARK, 2)
    return fitted


def draw_sheet(titles: list[str], rows: list[SheetRow]) -> np.ndarray:
    """A page, uint8 RGB: titles, then for each row a line of text above its images."""
    from matplotlib import get_data_path  # its fonts have more letters than Pillow's
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
        text = visible(text)
        fitting = text
        while fitting and draw.textlength(fitting + "…" * (fitting != text), font=font) > width:
            fitting = fitting[:-1]
        draw.text((left, top), fitting + "…" * (fitting != text), fill=_INK, font=font)

    for column, title in enumerate(titles):
        write(title, _GAP + column * pitch, _GAP, CELL, bold)
    for place, row in enumerate(rows):
        write(row.name, _GAP, head + place * (_LINE + pitch), page.shape[1] - 2 * _GAP, plain)
    return np.asarray(image)
