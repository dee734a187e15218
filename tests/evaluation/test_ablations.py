"""The option files of CISRNet's tables: what they train is what they are set beside."""

import re
from pathlib import Path

import pytest
import torch

from evaluation.comparison import quoted
from evaluation.options import EvaluationOptions
from evaluation.published import ABLATIONS
from models import build_generator
from training.options import TrainOptions
from utils.option_sources import read_with_bases
from utils.options import load

FOLDER = Path(__file__).parents[2] / "options"
FILES = [path for system in ("cisrnet", "baselines") for path in sorted((FOLDER / system).rglob("*.yml"))]
EVALUATIONS = [path for path in FILES if "models" in read_with_bases(path)[0]]
TRAININGS = {
    options.name: options for path in FILES if path not in EVALUATIONS for options in [load(path, TrainOptions)]
}
ROWS = [
    pytest.param(options, model, id=f"{path.stem}-{model.name}")
    for path in EVALUATIONS
    for options in [load(path, EvaluationOptions)]
    for model in options.models
    if model.weights is not None
]


@pytest.mark.parametrize(("options", "model"), ROWS)
def test_every_row_is_trained_by_a_shipped_file(options, model):
    experiments, name, stage, file = model.weights.parts
    training = TRAININGS[name]
    assert (experiments, file) == (str(training.root), "last.safetensors")
    assert stage == training.stages[-1].name and training.generator.scale == options.scale
    if training.generator.type != "cisrnet":
        assert training.generator.type == model.name.casefold() == model.published.casefold()
        return
    with torch.device("meta"):
        network = build_generator(training.generator)
    assert (network.fine is None) == (stage == "coarse")


def test_every_ablation_that_was_published_has_a_row_of_its_network():
    found = set()
    for row in ROWS:
        options, model = row.values
        match = re.fullmatch(r"CISRNet (coarse|fine) (\d) (parallel|sequential)", model.published or "")
        if match is None:
            continue
        stage, groups, kind = match[1], int(match[2]), match[3]
        generator = TRAININGS[model.weights.parts[1]].generator
        assert (generator.coarse_groups, generator.coarse_block_kind) == (
            (groups, kind) if stage == "coarse" else (4, "parallel")
        )
        assert (generator.fine_groups, generator.fine_block_kind) == (
            (0, "sequential") if stage == "coarse" else (groups, kind)
        )
        (dataset,) = options.datasets
        known = quoted(options, model, "psnr_y", dataset, *dataset.compressions)
        found.add((options.name, stage, groups, kind, known.value))
    tables = {("Table 2", "cisrnet_table2"), ("Table 3", "cisrnet_table3")}
    assert found == {
        (name, row.stage, row.groups, row.block, row.psnr)
        for row in ABLATIONS
        for table, name in tables
        if row.source.endswith(table)
    }


def test_variants_differ_from_the_paper_in_what_they_say_and_in_nothing_else():
    paper = TRAININGS["cisrnet_x2"]
    for name, changed in {
        "cisrnet_fine_parallel": {"clip_grad_norm": 1000.0},
        "cisrnet_l1": {"recipe": paper.stages[1].recipe.model_copy(update={"perceptual": None})},
        "cisrnet_fine_1": {},
        "cisrnet_fine_3": {},
    }.items():
        assert TRAININGS[name].stages == (paper.stages[0], paper.stages[1].model_copy(update=changed))
        assert TRAININGS[name].data == paper.data
    for name, training in TRAININGS.items():
        if name.startswith("cisrnet_coarse"):
            assert training.stages == (paper.stages[0],) and training.data == paper.data


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_baselines_are_trained_on_what_cisrnet_is_trained_on(scale):
    paper = TRAININGS[f"cisrnet_x{scale}"].data
    for name in ("vdsr", "rdn", "rcan"):
        training = TRAININGS[f"{name}_x{scale}"]
        assert training.generator.scale == scale and training.data.validation == paper.validation
        patch = training.data.train.patch_size
        if name == "vdsr":
            assert abs(patch * scale - 41) == 1  # its authors' patches of the enlarged image
        else:
            assert patch == 48
        assert training.data.train == paper.train.model_copy(update={"patch_size": patch})
