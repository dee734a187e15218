"""Every recipe's forward and losses on a CUDA device that is not there, autocast forced."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from benchmarks.soak import EXPERIMENTS
from models import build_generator
from training.options import StageOptions
from training.recipes import RECIPES
from training.runtime import Runtime
from utils.options import validate


class FakeRuntime:
    """What a recipe uses of `Runtime`, on the fake device: nothing is wrapped."""

    device = torch.device("cuda")
    fused = False
    layout = torch.channels_last
    accelerator = SimpleNamespace(no_sync=lambda step: nullcontext())

    def place(self, module):
        return module  # made on the device

    def prepare(self, step, optimizer):
        return step, optimizer

    def mean(self, value):
        return value


CASES = [(name, n) for name, (_, recipes) in EXPERIMENTS.items() for n in range(len(recipes))]


@pytest.mark.parametrize(("experiment", "number"), CASES)
def test_forward_and_losses_stay_on_the_device(fake_cuda, experiment, number):
    generator_options, recipes = EXPERIMENTS[experiment]
    values = {"name": "s", "recipe": recipes[number], "iterations": 10, "optimizer": {"lr": 1e-4}}
    stage = validate(values, StageOptions, "test")
    with fake_cuda():
        with torch.device("cuda"):
            generator = build_generator(generator_options)
            recipe = RECIPES[stage.recipe.type](stage.recipe, generator, stage, FakeRuntime())
        scale = generator.scale
        # As the loader gives them: uint8 on the CPU; `to_device` is the trainer's.
        batch = {
            "lr": torch.empty(2, 16, 16, 3, dtype=torch.uint8),
            "hr": torch.empty(2, 16 * scale, 16 * scale, 3, dtype=torch.uint8),
        }
        if recipe.needs_clean_lr:
            batch["clean_lr"] = torch.empty(2, 16, 16, 3)
        if generator.reads_steps:
            batch["steps"] = torch.empty(2, 2)
        batch = Runtime.to_device(FakeRuntime(), batch)
        batch["x_hat"] = torch.empty(2, 3, 16 * scale, 16 * scale, device="cuda")
        recipe.set_iteration(3)
        seen = {name: [] for name in recipe.networks}
        for name, network in recipe.networks.items():
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.register_forward_hook(lambda _, __, output, name=name: seen[name].append(output.dtype))
        terms = recipe.terms(batch)
        if "discriminator" in recipe.networks:
            terms |= {f"judged_{kind}": recipe.judged((kind, batch))["loss"] for kind in ("hr", "sr")}
    # The non-local operator computes in float32 whatever autocast says; everything else in bfloat16.
    expected = torch.float32 if recipes[number]["type"] == "nonlocal_prior" else torch.bfloat16
    for name in recipe.networks:
        assert expected in seen[name], f"autocast did not reach the {name}"
    for name, term in terms.items():
        assert term.device.type == "cuda" and term.dtype == torch.float32 and term.ndim == 0, name


def test_reading_a_value_would_raise(fake_cuda):
    """The test above can fail: the fake device refuses what would make a GPU wait."""
    with fake_cuda(), pytest.raises(Exception, match="_local_scalar_dense"):
        torch.ones(3, device="cuda").sum().item()
