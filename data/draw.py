"""Drawn training images: pages of text, screenshots, line art and charts, free of any licence.

    python -m data.draw --output datasets/drawn --count 60

Networks trained only on photographs blur text and thin lines. Image n of a seed is always the same, except with another
version of Pillow, whose font is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from utils.cli import run
from utils.errors import UserError
from utils.images import write_png
from utils.visible import visible

WIDTH, HEIGHT = 960, 720
Colour = tuple[int, int, int]


def draw(seed: int, number: int) -> np.ndarray:
    """Image `number` of a seed: uint8 `HEIGHT`×`WIDTH`×3, RGB. The kinds take turns."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    # Drawn twice as large and shrunk, so that edges look like those of a display or a scan.
    smooth = kind is not _screenshot and rng.random() < 0.7
    factor = 2 if smooth else 1
    image = Image.new("RGB", (WIDTH * factor, HEIGHT * factor), _paper(rng))
    kind(rng, ImageDraw.Draw(image), factor)
    if smooth:
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return np.asarray(image)


def _page(rng: np.random.Generator, pen: ImageDraw.ImageDraw, factor: int) -> None:
    """A page of text in one to three columns, with headings."""
    ink = _ink(rng)
    columns = int(rng.integers(1, 4))
    margin, width = 24 * factor, pen.im.size[0] // columns
    for column in range(columns):
        _paragraphs(rng, pen, (column * width + margin, margin, width - 2 * margin, pen.im.size[1]), ink, factor)


def _screenshot(rng: np.random.Generator, pen: ImageDraw.ImageDraw, factor: int) -> None:
    """Windows with title bars, buttons, lists and text over a plain desktop."""
    width, height = pen.im.size
    pen.rectangle((0, 0, width, height), fill=_colour(rng))
    for _ in range(int(rng.integers(2, 6))):
        w, h = int(rng.integers(220, width - 40)), int(rng.integers(160, height - 40))
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        paper, ink = _paper(rng), _ink(rng)
        pen.rectangle((x, y, x + w, y + h), fill=paper, outline=ink)
        pen.rectangle((x, y, x + w, y + 24), fill=_colour(rng))
        pen.text((x + 8, y + 5), _words(rng, 3), fill=(255, 255, 255), font=_font(14))
        for button in range(3):
            left = x + w - 22 * (button + 1)
            pen.ellipse((left, y + 6, left + 12, y + 18), fill=_colour(rng))
        _paragraphs(rng, pen, (x + 12, y + 34, w - 24, h - 74), ink, 1)
        pen.rounded_rectangle((x + w - 110, y + h - 34, x + w - 12, y + h - 8), 5, fill=_colour(rng), outline=ink)
        pen.text((x + w - 96, y + h - 29), _words(rng, 1), fill=(255, 255, 255), font=_font(13))


def _line_art(rng: np.random.Generator, pen: ImageDraw.ImageDraw, factor: int) -> None:
    """Closed curves with outlines, flat colours, hatching and screen tones, as in comics."""
    width, height = pen.im.size
    grey = rng.random() < 0.5
    for _ in range(int(rng.integers(8, 20))):
        centre = rng.random(2) * (width, height)
        angles = np.linspace(0, 2 * np.pi, 90)
        waves = sum(rng.normal(0, 0.18) * np.sin(n * angles + rng.random() * 7) for n in range(1, 6))
        radius = rng.uniform(40, 180) * factor * (1 + waves)
        outline = [
            (float(x), float(y))
            for x, y in zip(*(centre[:, None] + radius * np.array((np.cos(angles), np.sin(angles)))))
        ]
        tone = (int(rng.integers(60, 256)),) * 3 if grey else _colour(rng)
        pen.polygon(outline, fill=tone if rng.random() < 0.6 else None)
        pen.line(outline, fill=(0, 0, 0), width=int(rng.integers(1, 5)) * factor, joint="curve")
        step = int(rng.integers(4, 12)) * factor
        x, y = (int(value) for value in centre)
        if rng.random() < 0.4:
            for offset in range(0, 120 * factor, step):
                pen.line((x + offset, y, x + offset - 60 * factor, y + 90 * factor), fill=(0, 0, 0), width=factor)
        elif rng.random() < 0.4:
            for row in range(0, 90 * factor, step):
                for column in range(0, 120 * factor, step):
                    pen.ellipse((x + column, y + row, x + column + step // 2, y + row + step // 2), fill=(40, 40, 40))


def _chart(rng: np.random.Generator, pen: ImageDraw.ImageDraw, factor: int) -> None:
    """Axes, a grid, curves, bars and labels."""
    width, height = pen.im.size
    ink = _ink(rng)
    left, top, right, bottom = 70 * factor, 40 * factor, width - 30 * factor, height - 60 * factor
    for share in np.linspace(0, 1, int(rng.integers(4, 9))):
        y = int(bottom - share * (bottom - top))
        pen.line((left, y, right, y), fill=(200, 200, 200), width=factor)
        pen.text((8 * factor, y - 8 * factor), f"{share * 100:.1f}", fill=ink, font=_font(13 * factor))
    pen.line((left, top, left, bottom, right, bottom), fill=ink, width=2 * factor)
    pen.text((left, 8 * factor), _words(rng, 5), fill=ink, font=_font(20 * factor))
    count = int(rng.integers(5, 14))
    places = np.linspace(left + 20 * factor, right - 20 * factor, count)
    for _ in range(int(rng.integers(1, 4))):
        values = bottom - rng.random(count) * (bottom - top)
        colour = _colour(rng)
        if rng.random() < 0.5:
            for x, y in zip(places, values):
                pen.rectangle((x, y, x + 14 * factor, bottom), fill=colour, outline=ink)
        else:
            pen.line([(float(x), float(y)) for x, y in zip(places, values)], fill=colour, width=2 * factor)
    for x in places:
        pen.text((x, bottom + 8 * factor), _words(rng, 1), fill=ink, font=_font(11 * factor))


KINDS: tuple[Callable[[np.random.Generator, ImageDraw.ImageDraw, int], None], ...] = (
    _page,
    _screenshot,
    _line_art,
    _chart,
)


def _paragraphs(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], ink: Colour, factor: int
) -> None:
    left, top, width, height = box
    y = top
    while y < top + height:
        heading = rng.random() < 0.15
        size = int(rng.integers(18, 34) if heading else rng.integers(10, 19)) * factor
        font = _font(size)
        for _ in range(1 if heading else int(rng.integers(2, 8))):
            if y + 1.3 * size > top + height:
                return
            line = _words(rng, 24)
            letters = max(1, int(len(line) * width / max(1.0, font.getlength(line))))
            pen.text((left, y), line[:letters], fill=ink, font=font)
            y += int(1.35 * size)
        y += size // 2


def _words(rng: np.random.Generator, count: int) -> str:
    letters = np.array(list("eeeeaaaiioonnrrttsslldcupmhgbfvyxwkqjz0123456789.,"))
    words = ("".join(rng.choice(letters, int(rng.integers(2, 10)))) for _ in range(count))
    return " ".join(word.capitalize() if rng.random() < 0.15 else word for word in words)


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(float(size))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _paper(rng: np.random.Generator) -> Colour:
    if rng.random() < 0.5:
        return 255, 255, 255
    red, green, blue = (int(value) for value in rng.integers(200, 256, 3))
    return red, green, blue


def _ink(rng: np.random.Generator) -> Colour:
    if rng.random() < 0.6:
        return 0, 0, 0
    red, green, blue = (int(value) for value in rng.integers(0, 120, 3))
    return red, green, blue


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m data.draw", description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for the images; created if it is missing")
    parser.add_argument("--count", type=int, default=60, help="number of images (default: 60)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.count < 1 or arguments.seed < 0:
        raise UserError("--count is 1 or more, --seed 0 or more")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for number in tqdm(range(arguments.count), unit="image", disable=None):
        write_png(arguments.output / f"drawn_{arguments.seed}_{number:04d}.png", draw(arguments.seed, number))
    print(f"{visible(arguments.output)}: {arguments.count} images of {WIDTH}×{HEIGHT}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
