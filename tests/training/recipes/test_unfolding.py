"""CISR-PSI's two recipes: what is trained, how often, towards what."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from data.datasets import PatchDataset
from data.options import TrainDataOptions
from data.prepare import prepare_for
from data.resize import imresize
from models import build_generator
from models.weight_files import export_weights
from training.options import StageOptions
from training.recipes import RECIPES
from utils.options import validate

GOLDEN = Path(__file__).parents[2] / "golden"
SIZES = {"type": "cisr_psi", "scale": 2, "num_feat": 8, "reduction": 4, "arm_groups": 1, "rem_groups": 1, "blocks": 1}


class CpuRuntime:
    """What a recipe uses of `Runtime`, without accelerate."""

    device = torch.device("cpu")
    fused = False
    accelerator = SimpleNamespace(backward=lambda loss: loss.backward(), no_sync=lambda step: nullcontext())

    def place(self, module):
        return module

    def prepare(self, step, optimizer):
        return step, optimizer


def make(recipe, **sizes):
    torch.manual_seed(0)
    generator = build_generator({**SIZES, **sizes})
    stage = validate({"name": "s", "recipe": recipe, "iterations": 10, "optimizer": {"lr": 1e-3}}, StageOptions, "test")
    return RECIPES[stage.recipe.type](stage.recipe, generator, stage, CpuRuntime()), generator


@pytest.fixture
def batch():
    torch.manual_seed(1)
    hr = torch.rand(2, 3, 24, 24)
    clean = torch.nn.functional.avg_pool2d(hr, 2)
    return {"lr": clean + 0.1 * torch.rand_like(clean), "clean_lr": clean, "hr": hr}


def snapshot(generator):
    return {name: tensor.clone() for name, tensor in generator.state_dict().items()}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("sound", [0.1, 0.1, 0.1, 0.3, 0.7, 0.9, 1.0]), ("released", [0.1, 0.1, 0.3, 0.3, 0.9, 0.9, 1.5])],
)
def test_lambda_rises_and_is_clamped_unless_released(schedule, expected):
    """Released, with 500 iterations an epoch: 0.1 + 0.2 · (epoch // 20), the first epoch being 1."""
    recipe, _ = make({"type": "unfolding", "schedule": schedule})
    iterations = (0, 9499, 9500, 10000, 39500, 40000, 70000)
    assert [recipe.options.weight_of_hr(iteration) for iteration in iterations] == pytest.approx(expected)
    if schedule == "released":
        assert expected == pytest.approx([0.1 + 0.2 * ((iteration // 500 + 1) // 20) for iteration in iterations])


@pytest.mark.parametrize(("schedule", "steps", "expected"), [("sound", 3, 2), ("released", 3, 3), ("sound", 1, 1)])
def test_an_optimiser_step_for_every_unfolding_step_that_has_a_weight(batch, schedule, steps, expected):
    recipe, _ = make({"type": "unfolding", "schedule": schedule}, steps=steps)
    taken = []
    recipe.optimizers["generator"].register_step_post_hook(lambda *_: taken.append(None))
    terms = recipe.iteration([batch])
    assert len(taken) == expected and {"loss", "restored_lr", "sr"} <= terms.keys()
    assert "x_hat" not in batch  # the caller's batch is left alone


def test_unfolding_trains_all_but_the_priors(batch):
    recipe, generator = make({"type": "unfolding"})
    before = snapshot(generator)
    for _ in range(2):
        recipe.iteration([batch])
    changed = {name for name, tensor in generator.state_dict().items() if not torch.equal(tensor, before[name])}
    priors = {name for name in before if ".prior." in name}
    assert priors and changed == before.keys() - priors


def test_the_loss_is_the_papers(batch):
    recipe, generator = make({"type": "unfolding", "lambda_start": 0.25}, steps=1)
    with torch.no_grad():
        y_hat, x_hat = generator.unfold(batch["lr"])[0]
    expected = 0.75 * (y_hat - batch["clean_lr"]).abs().mean() + 0.25 * (x_hat - batch["hr"]).abs().mean()
    torch.testing.assert_close(recipe.iteration([batch])["loss"], 255 * expected)


def test_another_loss_between_pixels(batch):
    recipe, generator = make({"type": "unfolding", "lambda_start": 1.0, "pixel": {"type": "mse"}}, steps=1)
    with torch.no_grad():
        expected = (generator(batch["lr"]) - batch["hr"]).square().mean()
    torch.testing.assert_close(recipe.iteration([batch])["loss"], expected)


def test_micro_batches_are_the_whole_batch(batch):
    whole, split = (make({"type": "unfolding"}) for _ in range(2))
    halves = [{name: images[n : n + 1] for name, images in batch.items()} for n in (0, 1)]
    terms = whole[0].iteration([batch]), split[0].iteration(halves)
    for name in terms[0]:
        torch.testing.assert_close(terms[0][name], terms[1][name], rtol=1e-4, atol=1e-5)


def test_the_prior_is_trained_alone_and_both_operators_hold_it(batch):
    recipe, generator = make({"type": "nonlocal_prior"})
    before = snapshot(generator)
    first = recipe.iteration([batch])["loss"]
    for _ in range(10):
        last = recipe.iteration([batch])["loss"]
    assert last <= first
    after = generator.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed and all(".prior." in name for name in changed)
    for name in (name for name in after if name.startswith("arm.prior.")):
        assert torch.equal(after[name], after[name.replace("arm.", "rem.")])
    export_weights(generator, {})  # shared tensors are no obstacle


def test_the_clean_lr_patch_is_the_bicubic_of_the_hr_patch(photo_folder, tmp_path):
    options = TrainDataOptions(hr=photo_folder, prepared=tmp_path / "s", compressions=("jpeg10",), patch_size=12)
    prepare_for(options, 2, jobs=1, progress=False)
    sample = PatchDataset(options, 2, 0, clean_lr=True)[4]
    assert sample["clean_lr"].dtype == torch.uint8
    np.testing.assert_array_equal(sample["clean_lr"], imresize(sample["hr"].numpy(), 0.5, "to even"))


def test_the_clean_lr_patch_is_the_released_programs():
    run = np.load(GOLDEN / "training" / "cisr_psi_unfolding_x2.npz")
    for hr, clean in zip(run["hr"].reshape(-1, 24, 24, 3), run["clean_lr"].reshape(-1, 12, 12, 3), strict=True):
        np.testing.assert_array_equal(imresize(hr, 0.5, "to even"), clean)
