"""A small recipe `adversarial` on the CPU, batches for it, and the parameters of its two networks."""

from contextlib import nullcontext
from types import SimpleNamespace

import torch

from models import build_generator
from training.options import StageOptions
from training.recipes import RECIPES
from utils.options import validate

SIZES = {"type": "rrdbnet", "scale": 1, "num_feat": 4, "num_block": 1, "num_grow_ch": 4}
RECIPE = {
    "type": "adversarial",
    "perceptual": None,
    "adversarial": {"weight": 0.5},
    "discriminator": {"num_feat": 2, "patch_size": 32},
    "optimizer": {"type": "sgd", "lr": 0.2, "momentum": 0.0},
}
LR = 0.1  # of the generator


class CpuRuntime:
    """What a recipe uses of `Runtime`, without accelerate."""

    device = torch.device("cpu")
    fused = False
    accelerator = SimpleNamespace(
        backward=lambda loss: loss.backward(),
        no_sync=lambda step: nullcontext(),
        unscale_gradients=lambda optimizer: None,
    )

    def place(self, module):
        return module

    def prepare(self, step, optimizer):
        return step, optimizer

    def mean(self, value):
        return value


def make(runtime=None, **stage):
    torch.manual_seed(0)
    generator = build_generator(SIZES)
    optimizer = {"type": "sgd", "lr": LR, "momentum": 0.0}
    values = {"name": "s", "recipe": RECIPE, "iterations": 10, "optimizer": optimizer, **stage}
    stage = validate(values, StageOptions, "test")
    recipe = RECIPES["adversarial"](stage.recipe, generator, stage, runtime or CpuRuntime())
    recipe.set_iteration(0)
    return recipe


def make_batch(seed, size=2):
    random = torch.Generator().manual_seed(seed)
    hr = torch.rand(size, 3, 32, 32, generator=random)
    return {"lr": hr + 0.2 * torch.rand(hr.shape, generator=random), "hr": hr}


def parameters(recipe):
    return {
        f"{network}.{name}": value.detach().clone()
        for network, module in recipe.networks.items()
        for name, value in module.named_parameters()
    }
