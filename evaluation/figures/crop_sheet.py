"""The page of `crops`: on the left the image with a box, on the right the content of the box in every version."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from evaluation.figures.style import DPI, styled
from utils.boxes import Box

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARK = "#D55E00"
_CELL = 210  # least pixels of the longer side of a crop, after enlargement by an integer factor
_GAP, _LINE = 10, 22  # pixels
_LETTER = 12  # pixels of width, bold


@dataclass(frozen=True)
class Panel:
    """One version of the crop: its name, uint8 h×w×3 pixels, a line of scores; `best` is bold."""

    name: str
    part: np.ndarray
    figures: str
    best: bool = False


def plot_sheet(title: str, hr: np.ndarray, box: Box, cells: list[Panel]) -> Figure:
    """Two rows of panels beside the image. All crops are enlarged by the same integer factor.

    Args:
        hr: uint8 h×w×3.
        box: the part of it that the panels show.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    zoom = max(1, -(-_CELL // max(box.width, box.height)))
    width, height = box.width * zoom, box.height * zoom
    pitch = max(width, 17 * _LETTER) + _GAP  # room for two figures
    across = -(-len(cells) // 2)
    names = [textwrap.fill(cell.name, int(pitch / _LETTER)) for cell in cells]
    # Room for the text under each row of cells.
    strips = [
        _LINE * (2 + max(name.count("\n") for name in row)) + _GAP for row in (names[:across], names[across:]) if row
    ]
    tops = [_GAP, _GAP + height + strips[0]]
    inner = len(strips) * height + sum(strips[:-1])  # as high as the image
    whole = round(hr.shape[1] * inner / hr.shape[0])
    page = whole + 2 * _GAP + across * pitch, inner + strips[-1] + _GAP
    with styled():
        figure = Figure(figsize=(page[0] / DPI, page[1] / DPI))

        def place(image: np.ndarray, left: float, top: float) -> Axes:
            size = image.shape[1] / page[0], image.shape[0] / page[1]
            axes = figure.add_axes((left / page[0], 1 - top / page[1] - size[1], *size))
            axes.imshow(image, interpolation="none", aspect="auto")
            axes.set_axis_off()
            return axes

        factor = inner / hr.shape[0]
        fitted = cv2.resize(hr, (whole, inner), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        axes = place(fitted, _GAP, _GAP)
        corner = box.left * factor - 0.5, box.top * factor - 0.5
        size = box.width * factor, box.height * factor
        axes.add_patch(Rectangle(corner, *size, facecolor="none", edgecolor=MARK, linewidth=1.8))
        _under(axes, textwrap.fill(title, max(8, int(whole / _LETTER))), bold=False)
        for number, (cell, name) in enumerate(zip(cells, names)):
            row, column = divmod(number, across)
            left = whole + 2 * _GAP + column * pitch + (pitch - _GAP - width) / 2
            axes = place(cell.part.repeat(zoom, 0).repeat(zoom, 1), round(left), tops[row])
            _under(axes, f"{name}\n{cell.figures}", bold=cell.best)
    return figure


def _under(axes: Axes, text: str, *, bold: bool) -> None:
    weight = "bold" if bold else "normal"
    axes.text(0.5, -4 / axes.bbox.height, text, transform=axes.transAxes, ha="center", va="top", size=8, weight=weight)
