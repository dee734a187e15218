"""Scores to tables: on screen and in Markdown, averages and single images as CSV."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from evaluation.evaluate import Evaluation
from evaluation.options import EvaluationOptions
from utils.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["model", "dataset", "compression"]
NOT_THERE = "not trained yet"


def write_tables(evaluation: Evaluation, options: EvaluationOptions) -> str:
    """Write `table.md`, `average.csv` and `images.csv` under the results folder; returns the Markdown."""
    import pandas as pd

    images = pd.DataFrame([asdict(score) for score in evaluation.scores])
    average = averages(images) if len(images) else pd.DataFrame(columns=KEYS)
    text = markdown(average, evaluation, options)
    for name, content in [
        ("images.csv", images.to_csv(index=False, float_format="%.6f")),
        ("average.csv", average.to_csv(index=False, float_format="%.6f")),
        ("table.md", text),
    ]:
        write_atomically(options.folder / name, content.encode())
    return text


def averages(images: pd.DataFrame) -> pd.DataFrame:
    """Means over the images of each model × set × compression, in the order of the scores."""
    grouped = images.groupby(KEYS, sort=False)
    result = grouped[["psnr_y", "ssim_y", "bits_per_pixel", "seconds"]].mean().reset_index()
    result.insert(3, "images", grouped.size().to_numpy())
    return result


def markdown(average: pd.DataFrame, evaluation: Evaluation, options: EvaluationOptions) -> str:
    """One table per set: a row per model, a column per compression, `PSNR / SSIM`."""
    lines = [caption(options), ""]
    for dataset in options.datasets:
        rows = average[average["dataset"] == dataset.name]
        compressions = list(dict.fromkeys(rows["compression"]))
        count = int(rows["images"].iloc[0]) if len(rows) else 0
        lines += [f"**{dataset.name}** ({count} images)", ""] if count else [f"**{dataset.name}**", ""]
        cells = [["model", "parameters", *(compressions or ["–"])]]
        for model in options.models:
            size = evaluation.parameters[model.name]
            scored = rows[rows["model"] == model.name].set_index("compression")
            if size is None:
                cells.append([model.name, "–", *[NOT_THERE] * max(1, len(compressions))])
                continue
            scores = [f"{scored.loc[c, 'psnr_y']:.3f} / {scored.loc[c, 'ssim_y']:.4f}" for c in compressions]
            cells.append([model.name, f"{size:,}", *scores])
        lines += [*_aligned(cells), ""]
    return "\n".join(lines)


def caption(options: EvaluationOptions) -> str:
    """What the figures are, so that a table can be compared with another."""
    return (
        f"Y-PSNR (dB) / SSIM, convention `{options.convention}`, border {options.shaved}, ×{options.scale}, "
        "on 8-bit rounded output."
    )


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    rows = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [rows[0], rule, *rows[1:]]
