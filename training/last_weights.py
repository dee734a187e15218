"""`last.safetensors` of a finished stage, which the next one starts from: checked, made again where it is damaged."""

from __future__ import annotations

import sys
from typing import Any

from models import WeightsError
from models.weight_files import as_safetensors, read_tensors
from training.options import TrainOptions
from training.run_folder import RunFolder
from utils.files import write_atomically


def mend_last(folder: RunFolder, state: dict[str, Any], options: TrainOptions) -> None:
    """Write `last.safetensors` again from its stage's last checkpoint if it is missing or damaged; says so on stderr.

    Args:
        state: the content of that checkpoint.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        read_tensors(folder.last)
    except WeightsError as error:
        write_atomically(folder.last, as_safetensors(state["ema"] or state["networks"]["generator"], {
            "experiment": options.name,
            "stage": state["stage"],
            "iteration": state["iteration"],
            "generator": options.generator.model_dump(mode="json", exclude={"weights"}),
        }))  # fmt: skip
        print(f"{error}: written again from {folder.checkpoint(state['iteration'])}", file=sys.stderr)
