"""Runs with recipe `adversarial`: the weights that they begin from, what they export, and options that are refused."""

import pytest
import torch

from benchmarks.soak import experiment, write_photos
from losses import LossWeightsError
from models.checkpoints import read_state
from models.weight_files import export_weights
from tests.training.recipes.adversarial_recipe import RECIPE, make
from training.experiment import run_experiment
from training.options import StageOptions, TrainOptions
from training.run_folder import RunFolder, read_checkpoint
from utils.errors import UserError
from utils.options import load, validate


def train(options, *overrides):
    assert run_experiment(load(options, TrainOptions, ["data.train.workers=0", *overrides]), None) == 0


def test_it_goes_on_from_the_best_weights_of_a_supervised_run(tmp_path):
    photos = write_photos(tmp_path / "photos")
    before = experiment("adversarial", tmp_path / "before", photos, 2)
    train(before, "stages.0.recipe={type: supervised, pixel: {type: charbonnier}}", "stages.0.name=pixels")
    weights = before.parent / "runs" / "adversarial" / "pixels" / "best.safetensors"
    after = experiment("adversarial", tmp_path / "after", photos, 1, init=str(weights), ema=None)
    train(after, "stages.0.optimizer.lr=1e-30")
    folder = RunFolder(after.parent / "runs" / "adversarial" / "stage0")
    expected, got = read_state(weights), read_state(folder.last)
    assert expected.keys() == got.keys() and all(torch.equal(expected[name], got[name]) for name in got)
    state = read_checkpoint(folder.checkpoint(1))
    assert state["networks"].keys() == state["optimizers"].keys() == {"generator", "discriminator"}
    line = (folder.folder / "train.log").read_text().splitlines()[0]
    for name in ("d_hr", "d_sr", "discriminator", "lr_generator", "lr_discriminator 0.0005"):
        assert f" {name}" in line


def test_patches_that_the_discriminator_does_not_judge_are_refused_with_the_options(tmp_path):
    options = experiment("adversarial", tmp_path, tmp_path / "photos", 1)
    said = r"stages\.0\.recipe: the discriminator judges patches of 32 pixels, .* is 48; make them equal"
    with pytest.raises(UserError, match=said):
        load(options, TrainOptions, ["data.train.patch_size=24"])


def test_missing_weights_of_the_perceptual_loss_show_up_front(tmp_path):
    recipe = {**RECIPE, "perceptual": {"weights": str(tmp_path / "vgg19.pth")}}
    values = {"name": "s", "recipe": recipe, "iterations": 1, "optimizer": {"lr": 1e-4}}
    options = validate(values, StageOptions, "test").recipe
    assert (options.perceptual.weight, options.perceptual.distance) == (1.0, "charbonnier")
    with pytest.raises(LossWeightsError, match=r"vgg19\.pth"):
        options.check()


def test_only_the_generator_is_exported():
    recipe = make()
    assert b"linear1" not in export_weights(recipe.networks["generator"], {})
