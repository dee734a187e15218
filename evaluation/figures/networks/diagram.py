"""Block diagrams: slabs in rows, arrows between them, skips around them. Lengths are in tenths of an inch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from evaluation.figures.style import styled

Kind = Literal["image", "conv", "activation", "attention", "block", "upsample", "fixed", "concat"]
COLOURS: dict[Kind, str] = {
    "image": "#FFFFFF",
    "conv": "#BBDDF2",
    "activation": "#FBE3A6",
    "attention": "#BFE6D5",
    "block": "#D9CCEC",
    "upsample": "#F6C9AE",
    "fixed": "#E3E3E3",
    "concat": "#6B6B6B",
}
WORDS: dict[Kind, str] = {
    "conv": "convolution",
    "activation": "activation",
    "attention": "attention",
    "block": "in detail below",
    "upsample": "enlarges",
    "fixed": "no weights",
}
"""The legend: its order, and its texts unless a drawing has others."""
INK = "#202020"
GAP = 2.0
"""Space between the blocks of a row, for an arrow and the dot where a skip begins."""
_SLAB = 3.0, 11.0
_Point = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """An element of a row. A slab carries its text upright, a `wide` part along the row."""

    kind: Kind | Literal["sum", "product", "dots", "signal"]
    text: str = ""
    width: float = _SLAB[0]
    height: float = _SLAB[1]

    @property
    def upright(self) -> bool:
        return self.kind not in ("image", "signal", "dots", "sum", "product") and self.height > self.width


def slab(kind: Kind, text: str, height: float = _SLAB[1]) -> Part:
    """A tall narrow block."""
    return Part(kind, text, height=height)


def wide(kind: Kind, text: str, width: float, height: float = 4.0) -> Part:
    """A block whose text runs along the row; `\\n` breaks it."""
    return Part(kind, text, width, height)


def image(text: str, side: float = 6.0) -> Part:
    """An input or output image."""
    return Part("image", text, side, side)


def signal(text: str, width: float = 2.4) -> Part:
    """A named tensor on the line: letters, no frame."""
    return Part("signal", text, width, 2.4)


SUM, PRODUCT = Part("sum", width=2.2, height=2.2), Part("product", width=2.2, height=2.2)
DOTS = Part("dots", width=2.2, height=2.2)
CONV, RELU, GROUP = slab("conv", "conv 3×3"), slab("activation", "ReLU"), slab("block", "residual group")


@dataclass(frozen=True)
class Node:
    """A part at its position; x and y are its centre."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> _Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> _Point:
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> _Point:
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> _Point:
        return self.x, self.y - self.height / 2


class Diagram:
    """A page of `width`×`height` for parts and lines; y points upwards. `figure` is the result."""

    def __init__(self, width: float, height: float):
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.kinds: list[Kind] = []
        with styled():
            self.figure = Figure(figsize=(width / 10, height / 10))
            self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

    def place(self, part: Part, x: float, y: float) -> Node:
        """Draw a part around (x, y)."""
        from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

        node = Node(x, y, part.width, part.height)
        corner = x - part.width / 2, y - part.height / 2
        if part.kind == "sum" or part.kind == "product":
            self.axes.add_patch(Circle((x, y), part.width / 2, facecolor="white", edgecolor=INK, zorder=3))
            reach = part.width / 2 * (0.6 if part.kind == "sum" else 0.42)
            for dx, dy in [(reach, 0), (0, reach)] if part.kind == "sum" else [(reach, reach), (reach, -reach)]:
                self.axes.plot([x - dx, x + dx], [y - dy, y + dy], color=INK, linewidth=1.1, zorder=4)
            return node
        if part.kind == "dots":
            self.text("···", x, y, size=12)
            return node
        if part.kind == "signal":
            self.text(part.text, x, y, size=10)
            return node
        if part.kind not in self.kinds:
            self.kinds.append(part.kind)
        colour: dict[str, Any] = {"facecolor": COLOURS[part.kind], "edgecolor": INK, "linewidth": 0.9, "zorder": 3}
        if part.kind == "image":
            self.axes.add_patch(Rectangle(corner, part.width, part.height, **colour))
        else:
            shape = "round,pad=0,rounding_size=0.6"
            self.axes.add_patch(FancyBboxPatch(corner, part.width, part.height, boxstyle=shape, **colour))
        self.text(part.text, x, y, rotation=90 if part.upright else 0, color="white" if part.kind == "concat" else INK)
        return node

    def row(self, parts: Sequence[Part], x: float, y: float, gap: float = GAP) -> list[Node]:
        """Parts from left to right, the first one's left edge at x, with arrows between them."""
        nodes = []
        for part in parts:
            nodes.append(self.place(part, x + part.width / 2, y))
            x += part.width + gap
        for before, after in pairwise(nodes):
            self.arrow(before.right, after.left)
        return nodes

    def arrow(self, *points: _Point, head: bool = True) -> None:
        """A line through the points; the last piece ends in an arrow head."""
        xs, ys = zip(*points)
        self.axes.plot(xs, ys, color=INK, linewidth=1.0, zorder=1, solid_joinstyle="miter", solid_capstyle="butt")
        if head:
            style = {"arrowstyle": "-|>,head_width=0.22,head_length=0.5", "color": INK, "linewidth": 0, "shrinkA": 0}
            self.axes.annotate("", points[-1], points[-2], arrowprops={**style, "shrinkB": 0}, zorder=2)

    def skip(self, start: _Point, end: Node, y: float) -> None:
        """From a point on a line up (or down) to `y`, along, and into `end`."""
        self.dot(start)
        self.arrow(start, (start[0], y), (end.x, y), end.top if y > end.y else end.bottom)

    def concatenate(self, start: _Point, ends: Sequence[Node], y: float, into: float) -> None:
        """From a point on a line up to `y`, along, and down into each of `ends`, `into` beside its centre."""
        self.dot(start)
        self.arrow(start, (start[0], y), (ends[-1].x + into, y), head=False)
        for end in ends:
            self.arrow((end.x + into, y), (end.x + into, end.top[1]))

    def after(self, node: Node, gap: float = GAP) -> _Point:
        """A point on the arrow that leaves a node of a row: about its middle, the head left out."""
        return node.right[0] + 0.38 * gap, node.y

    def dot(self, point: _Point) -> None:
        """Where a line forks."""
        self.axes.plot(*point, "o", color=INK, markersize=3, zorder=2)

    def bracket(self, first: Node, last: Node, text: str, *, below: float = 0.8) -> None:
        """A brace of straight lines under neighbours of a row, with text below it."""
        y = min(first.bottom[1], last.bottom[1]) - below
        left, right = first.left[0], last.right[0]
        self.arrow((left, y + 0.5), (left, y), (right, y), (right, y + 0.5), head=False)
        self.text(text, (left + right) / 2, y - 0.4, va="top", size=8.5)

    def frame(self, left: float, bottom: float, right: float, top: float, title: str) -> None:
        """A dashed frame for an inset, with its title at the top left."""
        from matplotlib.patches import Rectangle

        dashed: dict[str, Any] = {
            "facecolor": "none",
            "edgecolor": "#8A8A8A",
            "linewidth": 0.8,
            "linestyle": (0, (4, 3)),
            "zorder": 0,
        }
        self.axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, **dashed))
        self.text(title, left + 0.9, top - 1.0, ha="left", va="top", weight="bold")

    def residual_row(self, parts: Sequence[Part], x: float, y: float, *, skip: float, gap: float = GAP) -> list[Node]:
        """A row between an unnamed input and output, and a skip `skip` above it from the input into the last part.

        Returns:
            The nodes of the row; input and output are the first and the last.
        """
        nodes = self.row([signal("", 0.5), *parts, signal("", 0.5)], x, y, gap)
        self.skip(self.after(nodes[0], gap), nodes[-2], y + skip)
        return nodes

    def text(
        self, text: str, x: float, y: float, *, size: float = 9, ha: str = "center", va: str = "center", **more
    ) -> None:
        """Text at (x, y)."""
        with styled():
            self.axes.text(x, y, text, fontsize=size, ha=ha, va=va, zorder=5, linespacing=1.1, **{"color": INK, **more})

    def legend(self, x: float, y: float, **words: str) -> None:
        """A sample of each kind that was drawn, with its text of `WORDS` or, by kind, of `words`."""
        from matplotlib.patches import FancyBboxPatch

        for kind in [kind for kind in WORDS if kind in self.kinds]:
            text = words.get(kind, WORDS[kind])
            shape: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.4", "edgecolor": INK, "linewidth": 0.8}
            self.axes.add_patch(FancyBboxPatch((x, y - 0.8), 2.2, 1.6, facecolor=COLOURS[kind], **shape))
            self.text(text, x + 2.9, y, ha="left", size=8.5)
            x += 4.8 + 0.68 * len(text)
