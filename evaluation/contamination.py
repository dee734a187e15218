"""Networks that were trained on images they are evaluated on, found by the training sets on their cards."""

from __future__ import annotations

import re
from pathlib import Path

from data.options import EvaluationSetOptions
from evaluation.options import EvaluationOptions

_LINE = re.compile(r"^\s*-\s*\*\*Training sets\*\*:\s*(.+)$", re.MULTILINE)
_LARGEST = 1_000_000  # bytes of a card


def training_sets(weights: Path) -> tuple[str, ...]:
    """Training sets on the card beside a weight file (`- **Training sets**: BSDS500_test, BSD200`), if there is one."""
    card = weights.with_suffix(".md")
    if weights.suffix != ".safetensors" or not card.is_file() or card.stat().st_size > _LARGEST:
        return ()
    found = _LINE.search(card.read_text(encoding="utf-8", errors="replace"))
    return tuple(name.strip(" .`") for name in found[1].split(",")) if found else ()


def warnings(options: EvaluationOptions) -> list[str]:
    """A sentence for each model that was trained on sets of this evaluation, by name; case is ignored."""
    said = []
    for model in options.models:
        seen = {name.casefold() for name in training_sets(model.weight_file)} if model.weight_file else set()
        names = [dataset.name for dataset in options.datasets if seen & _names(dataset)]
        if names:
            said.append(
                f"Warning: {model.name} was trained on images of {', '.join(names)}, as its card says: its figures "
                "there cannot be compared."
            )
    return said


def _names(dataset: EvaluationSetOptions) -> set[str]:
    return {dataset.name.casefold(), dataset.hr.name.casefold()}
