"""The part of a report that compares pictures: for each set a choice of models, and a slider for each image."""

from __future__ import annotations

import html
import json
from collections import Counter
from typing import Any

from data.options import EvaluationSetOptions
from evaluation.evaluate import Evaluation
from evaluation.options import EvaluationOptions
from evaluation.report.previews import QUALITY, SIDE, Preview, models_there
from evaluation.score_log import Record
from evaluation.tables.averages import compressions_of
from metrics.measures import MEASURES
from utils.visible import visible

NO_PICTURES = "Restored images were not saved (<code>save_images: false</code>), so there is nothing to compare here."
NO_MODEL = "No model has restored anything yet."
NO_ROOM = "The pictures of one image alone are larger than this page may be; look at them under <code>images/</code>."
_NOTHING = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"  # one clear pixel


def figures(record: Record | None, evaluation: Evaluation, options: EvaluationOptions) -> list[str]:
    """The scores of one restored image as printed; a dash for a measure that is left out, or without an image."""
    scores = evaluation.scores(record) if record is not None else {}
    return [f"{scores[name]:.{MEASURES[name].decimals}f}" if name in scores else "–" for name in options.metrics]


def measures_block(options: EvaluationOptions) -> str:
    """Data about the columns for the page's script."""
    found = [{"decimals": MEASURES[name].decimals, "more": MEASURES[name].more_is_better} for name in options.metrics]
    return data_block(found, 'id="measures"')


def data_block(data: Any, attributes: str = "") -> str:
    """Plain data in a block of the page that no text in it can close."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json"{" " * bool(attributes)}{attributes}>{text}</script>'


def pictures_section(previews: list[Preview], evaluation: Evaluation, options: EvaluationOptions) -> str:
    """A viewer for each set with previews, or a sentence with the reason why there is none."""
    if not models_there(evaluation):
        return f'<p class="note">{NO_MODEL}</p>'
    if not options.save_images:
        return f'<p class="note">{NO_PICTURES}</p>'
    if not previews:
        return f'<p class="note">{NO_ROOM}</p>'
    counts = Counter(dataset for dataset, _ in {(item.set_name, item.image) for item in evaluation.records})
    parts = [
        f'<p class="note">Of each image the {SIDE}×{SIDE} pixels with the strongest edges, one to one; JPEG of quality '
        f"{QUALITY} without chroma subsampling, so the finest differences are lost: the pictures themselves are under "
        "<code>images/</code>. Drag, or use the arrow keys.</p>",
        "<noscript><p>The sliders need JavaScript; everything else on this page does not.</p></noscript>",
    ]
    for dataset in options.datasets:
        here = sorted((preview for preview in previews if preview.dataset == dataset.name), key=lambda p: p.image)
        of = counts[dataset.name]
        if here:
            said = f"All {of} images." if len(here) == of else f"{len(here)} of {of} images, evenly over their names."
            parts.append(_viewer(dataset, said, here, evaluation, options))
        else:
            parts.append(f'<h3>{html.escape(dataset.name)}</h3><p class="note">No room for its pictures here.</p>')
    return "\n".join(parts)


def _viewer(
    dataset: EvaluationSetOptions,
    said: str,
    previews: list[Preview],
    evaluation: Evaluation,
    options: EvaluationOptions,
) -> str:
    models = models_there(evaluation)
    first, last = ("LR input", "HR") if options.scale > 1 else ("compressed input", "original")
    pictures = [first, *models, last]
    # Compare with the first row; a single row is compared with its input.
    sides = [_choice("Left", pictures, 1 if len(models) > 1 else 0), _choice("Right", pictures, len(models))]
    zoom = _choice("Pixels", ["1×", "2×", "3×"], 0, ["1", "2", "3"])
    named = [dataset.name_of(compression) for compression in compressions_of(dataset)]
    each = [_comparison(preview, models, evaluation, options) for preview in previews]
    return "\n".join(
        [
            f'<div class="set"><h3>{html.escape(dataset.name)}</h3><p class="note">{said}</p>',
            f'<div class="controls">{_choice("Compression", named, 0)}{"".join(sides)}{zoom}</div>',
            f'<div class="grid">{"".join(each)}</div></div>',
        ]
    )


def _choice(label: str, texts: list[str], selected: int, values: list[str] | None = None) -> str:
    entries = [
        f'<option value="{html.escape(value)}"{" selected" * (place == selected)}>{html.escape(text)}</option>'
        for place, (text, value) in enumerate(zip(texts, values or texts))
    ]
    return f"<label>{label} <select>{''.join(entries)}</select></label>"


def _comparison(preview: Preview, models: list[str], evaluation: Evaluation, options: EvaluationOptions) -> str:
    """A slider, its pictures, and a table of scores that the page's script fills."""
    name, box, (height, width) = html.escape(visible(preview.image)), preview.box, preview.size
    found = [evaluation.records.get(item, {}) for item in preview.items]
    printed = [
        [None, *(figures(by_model.get(model), evaluation, options) for model in models), None] for by_model in found
    ]
    for row, places in zip(printed, preview.shown):
        # A model may be the input itself; the HR image has no scores.
        row[0] = next((row[at] for at in range(1, len(models) + 1) if places[at] == places[0]), None)
    data = {
        "image": visible(preview.image),
        "pictures": preview.pictures,
        "shown": preview.shown,
        "scores": printed,
        "bits": [f"{bits} bpp" if (bits := bits_per_pixel(by_model)) else "" for by_model in found],
    }
    thumbnail = ""
    if preview.thumbnail:
        sides = {"left": box.left / width, "top": box.top / height, "width": box.width / width}
        sides["height"] = box.height / height
        style = ";".join(f"{side}:{part:.2%}" for side, part in sides.items())
        thumbnail = (
            f'<div class="thumbnail"><img src="{preview.thumbnail}" alt="{name} as a whole, the part marked" '
            f'loading="lazy" decoding="async"><span style="{style}"></span></div>'
        )
    empty = f'<img class="{{0}}" src="{_NOTHING}" alt="" decoding="async">'
    rows = [
        f'<tr><th scope="row">{html.escape(MEASURES[measure].heading)}</th><td></td><td></td><td></td></tr>'
        for measure in options.metrics
    ]
    return (
        f'<figure class="comparison" style="--width:{box.width};--height:{box.height}"><div class="stage">'
        f"{empty.format('right')}{empty.format('left')}"
        '<span class="tag left"></span><span class="tag right"></span><span class="bar"></span>'
        f'<input type="range" min="0" max="100" value="50" aria-label="{name}: percent that show the left picture">'
        f'</div><figcaption><div class="where">{thumbnail}<div><strong>{name}</strong>{width}×{height} pixels'
        '<br><span class="bits"></span></div></div><table class="figures"><thead><tr><td></td>'
        '<th scope="col" class="left"></th><th scope="col" class="right"></th><th scope="col">difference</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></figcaption>{data_block(data)}</figure>\n"
    )


def bits_per_pixel(by_model: dict[str, Record]) -> str:
    """Bits per LR pixel of an item as printed; empty if it was not encoded here or no model has restored it."""
    bits = next((record.bits_per_pixel for record in by_model.values()), None)
    return "" if bits is None else f"{bits:.3f}"
