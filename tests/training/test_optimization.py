"""Options of optimisers: whatever they allow, torch takes."""

import pytest
import torch
from torch import nn

from benchmarks.soak import experiment
from training.loop.batches import samples_of
from training.optimization import OptimizerOptions, build_optimizer
from training.options import TrainOptions
from utils.options import OptionsError, load, validate


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"betas": [1.0, 0.999]}, "betas.0: expected less than 1, got 1.0"),
        ({"betas": [0.9, -0.1]}, "betas.1: expected greater than or equal to 0, got -0.1"),
        ({"betas": [float("nan"), 0.9]}, "betas.0: expected a finite number"),
        ({"lr": 1e38}, "lr: expected less than or equal to 1"),
        ({"lr": float("inf")}, "lr: expected a finite number, got inf"),
        ({"weight_decay": float("inf")}, "weight_decay: expected a finite number"),
        ({"type": "adamw", "lr": 1e10, "weight_decay": 1e30}, "lr × weight_decay is beyond float32"),
        ({"type": "muon", "lr": 1e10, "weight_decay": 1e30}, "lr × weight_decay is beyond float32"),
    ],
)
def test_rates_that_no_optimiser_takes_are_refused(values, what):
    with pytest.raises(OptionsError) as error:
        validate({"lr": 1e-3, **values}, OptimizerOptions, "x")
    assert what in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {"type": "adam", "lr": 1e20, "betas": [1 - 2**-53, 1 - 2**-53], "weight_decay": 1e38},
        {"type": "adamw", "lr": 1e20, "betas": [1 - 2**-53, 0.0], "weight_decay": 1e18},
        {"type": "sgd", "lr": 1e20, "weight_decay": 1e38, "momentum": 0.999},
        {"type": "adam", "lr": 1e-320, "betas": [0.0, 0.0]},
        {"type": "muon", "lr": 1e18, "betas": [1 - 2**-53, 0.0], "weight_decay": 1e18},
    ],
)
@pytest.mark.parametrize("fused", [False, True])
def test_the_largest_rates_are_no_error_of_torch(values, fused):
    weight = nn.Parameter(torch.ones(3))
    optimizer = build_optimizer(validate(values, OptimizerOptions, "x"), [weight], fused=fused)
    for _ in range(2):
        weight.grad = torch.ones(3)
        optimizer.step()


@pytest.mark.parametrize("key", ["stages.0.iterations", "stages.0.batch_size", "data.train.workers"])
def test_numbers_beyond_any_machine_are_refused(tmp_path, key):
    options = experiment("supervised", tmp_path / "a", tmp_path, 10)
    with pytest.raises(OptionsError, match=f"{key}: expected less than or equal to"):
        load(options, TrainOptions, [f"{key}=99999999999"])


def test_the_samples_of_the_longest_stages_can_be_counted(tmp_path):
    largest = [f"stages.{stage}.{key}" for stage in (0, 1) for key in ("iterations=1000000000", "batch_size=1000000")]
    options = load(experiment("coarse_to_fine", tmp_path / "a", tmp_path, 10), TrainOptions, largest)
    assert len(samples_of(options, 1, by_clock=False)) == 10**15
