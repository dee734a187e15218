"""The memory that `--check` estimates, against the same counted on real tensors and against what it must depend on."""

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.soak import EXPERIMENTS, experiment
from losses import PixelLoss, PixelLossOptions
from models import build_generator, count_parameters
from training.memory_estimate import stage_memory
from training.options import TrainOptions
from utils.options import load


def options(tmp_path, recipe, *overrides, **stage):
    return load(experiment(recipe, tmp_path, tmp_path / "photos", 4, **stage), TrainOptions, overrides)


def test_activations_are_those_that_autograd_keeps(tmp_path):
    given = options(tmp_path, "supervised", ema=None)
    generator = build_generator(given.generator)
    lr, hr = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 32, 32)
    outside = {tensor.data_ptr() for tensor in (lr, hr, *generator.parameters(), *generator.buffers())}
    kept = {}
    with saved_tensors_hooks(lambda tensor: kept.setdefault(tensor.data_ptr(), tensor), lambda tensor: tensor):
        loss = PixelLoss(PixelLossOptions(type="l1", value_range=255))(generator(lr), hr)
    expected = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in outside)
    del loss
    assert stage_memory(given, 0).activations == expected > 0


@pytest.mark.parametrize("recipe", list(EXPERIMENTS))
def test_every_recipe_is_counted(tmp_path, recipe):
    given = options(tmp_path, recipe, ema=None)
    for position in range(len(given.stages)):
        whole = stage_memory(given, position)
        halves = stage_memory(options(tmp_path, recipe, ema=None, accumulate=2), position)
        assert 0.45 < halves.activations / whole.activations < 0.6
        assert stage_memory(given, position, ranks=2).activations == halves.activations
        averaged = stage_memory(options(tmp_path, recipe), position)
        assert averaged.weights > whole.weights and averaged.activations == whole.activations


def test_weights_gradients_and_averages(tmp_path):
    given = options(tmp_path, "supervised", ema=None)
    size = 4 * count_parameters(build_generator(given.generator))
    adam = stage_memory(given, 0)
    assert adam.weights >= size == adam.gradients and adam.optimizer == 2 * size
    for kind in ("sgd", "muon"):
        assert stage_memory(options(tmp_path, "supervised", f"stages.0.optimizer.type={kind}"), 0).optimizer == size
    # 4 patches of 16×16 and of 32×32, and as many ahead
    assert adam.batches == 2 * 4 * 4 * 3 * (16**2 + 32**2)


def test_checkpointing_keeps_less(tmp_path):
    plain, less = (
        stage_memory(options(tmp_path, "adversarial", f"generator.checkpointing={on}"), 0) for on in ("false", "true")
    )
    assert less.activations < plain.activations and less.weights == plain.weights
