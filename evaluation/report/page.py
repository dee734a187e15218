"""Assembly of a report: `results/<name>/report.html`, one file that loads nothing from a network."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from string import Template

from data.options import EvaluationSetOptions
from evaluation.evaluate import Evaluation
from evaluation.figures.curves import Against, plot_curves
from evaluation.figures.style import as_files
from evaluation.options import EvaluationOptions
from evaluation.report.previews import make_previews, models_there
from evaluation.report.sliders import bits_per_pixel, figures, measures_block, pictures_section
from evaluation.tables.averages import compressions_of
from evaluation.tables.build import Tables, make_tables
from evaluation.tables.captions import caption
from evaluation.tables.formats import Cell, Table, as_html, html_text
from metrics.measures import MEASURES
from utils.files import write_atomically
from utils.options import to_yaml

FILE = "report.html"
LIMIT = 20_000_000
"""Largest size of a page in bytes: pictures use the space that tables and curves leave."""
_SHARE = 4  # curves use at most 1/4 of the page, and so do the scores of single images
_FOLDER = Path(__file__).parent


def write_report(evaluation: Evaluation, options: EvaluationOptions) -> Path:
    """Write the page of a complete evaluation, without restoring or scoring anything.

    Raises:
        ImageError, CodecError: a source or restored image cannot be read.
        UserError: the disk is full.
    """
    path = options.folder / FILE
    write_atomically(path, make_page(evaluation, options).encode())
    return path


def make_page(evaluation: Evaluation, options: EvaluationOptions, limit: int = LIMIT) -> str:
    """The page as text of at most `limit` bytes, unless tables and options alone are longer.

    Equal evaluations have equal pages. Pictures are left out first, and the page names them.
    """
    tables = make_tables(evaluation, options)
    parts = {
        "title": html.escape(options.name),
        "summary": html.escape(_summary(evaluation, options)),
        "facts": "\n".join(
            f"<dt>{name}</dt>{''.join(f'<dd>{html_text(line)}</dd>' for line in lines)}"
            for name, lines in _facts(evaluation, options)
        ),
        "scores": "\n".join(
            [
                *(as_html(replace(table, caption=[])) for table in tables.main),
                *map(as_html, [*tables.bd, *tables.least_gain]),
            ]
        ),
        "intervals": "\n".join(as_html(table) for table in tables.intervals),
        "costs": as_html(tables.costs).replace("h3>", "h2>"),
        "curves": _within(limit // _SHARE, _curves(tables, options), "The curves are too large for this page."),
        "images": _within(
            limit // _SHARE,
            _lists(evaluation, options),
            "Too many images for this page: their scores are in <code>images.csv</code>.",
        ),
        "options": html.escape(to_yaml(options)),
        "measures": measures_block(options),
    }

    def page(previews: list) -> str:
        return _filled({**parts, "pictures": pictures_section(previews, evaluation, options)})

    previews = []
    if options.save_images and models_there(evaluation):
        previews = make_previews(evaluation, options, limit - len(page([]).encode()))
    text = page(previews)
    while previews and len(text.encode()) > limit:
        previews.pop()  # the markup around the pictures also counts
        text = page(previews)
    return text


def _filled(parts: dict[str, str]) -> str:
    """The template filled with parts, style and script; the page's policy allows no other script."""
    template, style, script = ((_FOLDER / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(template).substitute(parts, style=style, script=script, script_hash=digest)


def _within(limit: int, text: str, otherwise: str) -> str:
    return text if len(text.encode()) <= limit else f'<p class="note">{otherwise}</p>'


def _summary(evaluation: Evaluation, options: EvaluationOptions) -> str:
    images = len({(item.set_name, item.image) for item in evaluation.records})
    compressions = {compression for dataset in options.datasets for compression in compressions_of(dataset)}
    counts = [(len(options.models), "model"), (len(options.datasets), "set"), (images, "image")]
    counts.append((len(compressions), "compression"))
    what = f"Super-resolution ×{options.scale} of" if options.scale > 1 else "Restoration of"
    counted = ", ".join(f"{count} {word}" + "s" * (count != 1) for count, word in counts)
    return f"{what} compressed images: {counted}."


def _facts(evaluation: Evaluation, options: EvaluationOptions) -> list[tuple[str, list[str]]]:
    """Names with lines of text, backticks for code; includes the captions of the tables."""
    times = [record.at for by_model in evaluation.records.values() for record in by_model.values()]
    days = sorted({datetime.fromtimestamp(time, timezone.utc).date().isoformat() for time in times})
    return [
        ("Models", [", ".join(model.name for model in options.models)]),
        ("Sets", [", ".join(dataset.name for dataset in options.datasets)]),
        ("Measured", caption(options)),
        ("Device", [evaluation.device]),
        ("Scored", [" to ".join(dict.fromkeys([days[0], days[-1]])) + " (UTC)" if days else "not yet"]),
    ]


def _curves(tables: Tables, options: EvaluationOptions) -> str:
    """Curves of PSNR and PSNR-B, if measured, else of another measure, over quality and bits per pixel."""
    measures = [next((name for name in options.metrics if name.startswith("psnr")), options.metrics[0])]
    measures += [name for name in ("psnr_b",) if name in options.metrics and name not in measures]
    pairs = [pair for measure in measures if (pair := _pair_of_curves(tables, options, measure))]
    if pairs:
        return "\n".join(pairs)
    return '<p class="note">A curve needs two qualities of a codec; here is none with two.</p>'


def _pair_of_curves(tables: Tables, options: EvaluationOptions, measure: str) -> str:
    heading, found = MEASURES[measure].heading, []
    axes: dict[Against, str] = {"quality": "the codec's quality", "bits_per_pixel": "bits per pixel"}
    for against, words in axes.items():
        figure = plot_curves(tables.average, options, measure, against)
        if figure is not None:
            label = f"{heading} over {words}"
            svg = inline_svg(as_files(figure, ("svg",))["svg"].decode(), f"{measure}-{against}-", label)
            block = f'<div class="curve" role="region" aria-label="{label}" tabindex="0">{svg}</div>'
            found.append(f"<div><h3>{label}</h3>\n{block}</div>")
    return f'<div class="pair">{"".join(found)}</div>' if found else ""


def inline_svg(svg: str, prefix: str, label: str) -> str:
    """matplotlib's SVG as an element of a page; names begin with `prefix`, and its styles apply to itself alone."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->|<(metadata|style)\b.*?</\1>", "", svg, flags=re.S)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(\bid="|\bhref="#|\burl\(#)', rf"\g<1>{prefix}", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1).strip()


def _lists(evaluation: Evaluation, options: EvaluationOptions) -> str:
    """The scores of single images: a collapsed section for each set, with a table per compression."""
    models = models_there(evaluation)
    headings = ["image", "bpp", *(f"{MEASURES[name].heading} {model}" for name in options.metrics for model in models)]
    parts = []
    for dataset in options.datasets:
        tables = [_list(dataset, spec, headings, models, evaluation, options) for spec in compressions_of(dataset)]
        if models:
            body = "\n".join(as_html(table) for table in tables)
            parts.append(f"<details>\n<summary>{html.escape(dataset.name)}</summary>\n{body}\n</details>")
    return "\n".join(parts) or '<p class="note">No model has restored anything yet.</p>'


def _list(
    dataset: EvaluationSetOptions,
    spec: str,
    headings: list[str],
    models: list[str],
    evaluation: Evaluation,
    options: EvaluationOptions,
) -> Table:
    table = Table(f"{dataset.name}, {dataset.name_of(spec)}", headings, 1, [[]])
    for item, by_model in evaluation.records.items():
        if (item.set_name, item.compression) == (dataset.name, spec):
            columns = zip(*(figures(by_model.get(model), evaluation, options) for model in models))
            row = [item.image, bits_per_pixel(by_model), *(text for column in columns for text in column)]
            table.groups[0].append([Cell(text) for text in row])
    return table
