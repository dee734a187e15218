"""Sets that a network was trained on are named above the tables."""

from pathlib import Path

import pytest

from evaluation.contamination import training_sets, warnings
from evaluation.options import EvaluationOptions
from evaluation.tables.captions import caption
from utils.options import validate

CARDS = sorted((Path(__file__).parents[2] / "checkpoints").glob("*.safetensors"))


def options(*datasets, weights="rrdbnet_jpeg"):
    return validate(
        {
            "name": "run",
            "scale": 1,
            "models": [{"name": "Input", "generator": {"type": "bicubic", "scale": 1}},
                       {"name": "Ours", "weights": str(weights)}],
            "datasets": [{"name": name, "hr": folder} for name, folder in datasets],
        },
        EvaluationOptions,
        "test",
    )  # fmt: skip


@pytest.mark.parametrize("weights", CARDS, ids=lambda path: path.stem)
def test_every_card_lists_its_sets(weights):
    assert {"BSD200", "BSDS500_test"} <= set(training_sets(weights))


def test_a_listed_set_is_named_by_its_name_or_folder_and_no_other():
    given = options(("Kodak24", "datasets/Kodak24"), ("bsds500", "x"), ("Berkeley", "datasets/BSDS500_test"))
    (said,) = warnings(given)
    assert said.startswith("Warning: Ours was trained on images of bsds500, Berkeley")
    assert said in caption(given)
    assert warnings(options(("Kodak24", "datasets/Kodak24"))) == []


def test_weights_without_a_card_say_nothing(tmp_path):
    weights = tmp_path / "ours.safetensors"
    assert warnings(options(("BSDS500", "x"), weights=weights)) == []
    weights.with_suffix(".md").write_text("# Ours\n\n- **Training sets**: BSDS500, `Set5`.\n- **Limits**: many\n")
    assert training_sets(weights) == ("BSDS500", "Set5")
    assert len(warnings(options(("Set5", "x"), weights=weights))) == 1
    weights.with_suffix(".md").write_text("# Ours\n\nno sets\n")
    assert training_sets(weights) == ()
