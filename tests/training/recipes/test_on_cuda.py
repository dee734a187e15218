"""Every recipe's forward and losses on a CUDA device that is not there, autocast forced."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks.accept.throughput.released_way import with_dense_operator
from benchmarks.accept.throughput.workloads import STAGES
from benchmarks.nonlocal_prior import DensePrior
from benchmarks.soak import EXPERIMENTS
from models import build_generator
from training.options import StageOptions, TrainOptions
from training.recipes import RECIPES
from training.runtime import Runtime
from utils.options import load, validate

OPTIONS = Path(__file__).parents[3] / "options"
PAPERS = sorted({file for file, _ in STAGES.values()})


class FakeRuntime:
    """What a recipe uses of `Runtime`, on the fake device: nothing is wrapped."""

    device = torch.device("cuda")
    fused = False
    layout = torch.channels_last
    # A backward pass would need the device; without gradients an optimiser changes nothing.
    accelerator = SimpleNamespace(no_sync=lambda step: nullcontext(), backward=lambda loss: None)

    def place(self, module):
        return module  # made on the device

    def prepare(self, step, optimizer):
        return step, optimizer

    def mean(self, value):
        return value


def cases():
    """Generator options and a stage: the soak's, the trainings for a GPU, the papers' that are measured there."""
    for name, (generator, recipes) in EXPERIMENTS.items():
        for number, recipe in enumerate(recipes):
            values = {"name": "s", "recipe": recipe, "iterations": 10, "optimizer": {"lr": 1e-4}}
            yield pytest.param(generator, validate(values, StageOptions, "test"), id=f"{name}{number}")
    for path in (*sorted((OPTIONS / "gpu").glob("*.yml")), *(OPTIONS / file for file in PAPERS)):
        options = load(path, TrainOptions)
        for number, stage in enumerate(options.stages):
            if getattr(stage.recipe, "perceptual", None) is not None:  # VGG's weights are not ours to have
                recipe = stage.recipe.model_copy(update={"perceptual": None})
                stage = stage.model_copy(update={"recipe": recipe})
            yield pytest.param(options.generator, stage, id=f"{path.parent.name}/{path.stem}{number}")


@pytest.mark.parametrize(("generator_options", "stage"), list(cases()))
def test_forward_and_losses_stay_on_the_device(fake_cuda, generator_options, stage):
    with fake_cuda():
        with torch.device("cuda"):
            generator = build_generator(generator_options)
            recipe = RECIPES[stage.recipe.type](stage.recipe, generator, stage, FakeRuntime())
        scale = generator.scale
        side = (stage.recipe.hr_patch_size or 16 * scale) // scale
        # As the loader gives them: uint8 on the CPU; `to_device` is the trainer's.
        batch = {
            "lr": torch.empty(2, side, side, 3, dtype=torch.uint8),
            "hr": torch.empty(2, side * scale, side * scale, 3, dtype=torch.uint8),
        }
        if recipe.needs_clean_lr:
            batch["clean_lr"] = torch.empty(2, side, side, 3)
        if generator.reads_steps:
            batch["steps"] = torch.empty(2, 2)
        batch = Runtime.to_device(FakeRuntime(), batch)
        recipe.set_iteration(3)
        seen = {name: [] for name in recipe.networks}
        for name, network in recipe.networks.items():
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.register_forward_hook(lambda _, __, output, name=name: seen[name].append(output.dtype))
        recipe.stage = recipe.update.stage = stage.model_copy(update={"clip_grad_norm": None})
        terms = recipe.iteration([batch])
    # The non-local operator computes in float32 whatever autocast says; everything else in bfloat16.
    expected = torch.float32 if stage.recipe.type == "nonlocal_prior" else torch.bfloat16
    for name in recipe.networks:
        assert expected in seen[name], f"autocast did not reach the {name}"
    for name, term in terms.items():
        assert term.device.type == "cuda" and term.dtype == torch.float32 and term.ndim == 0, name


UNREPEATABLE = (
    "UpsampleBicubic",
    "UpsampleBilinear",
    "ReflectionPad",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "GridSampler",
)
"""Beginnings of the names of backward nodes that refuse to run on CUDA with `runtime.deterministic`."""


@pytest.mark.parametrize("recipe", EXPERIMENTS)
def test_deterministic_trainings_have_no_backward_that_cuda_refuses(fake_cuda, recipe):
    generator_options, recipes = EXPERIMENTS[recipe]
    values = {"name": "s", "recipe": recipes[-1], "iterations": 10, "optimizer": {"lr": 1e-4}, "clip_grad_norm": None}
    if recipe == "adversarial":
        values["recipe"] = {**recipes[-1], "discriminator": {"type": "unet", "num_feat": 4, "patch_size": 32}}
    stage = validate(values, StageOptions, "test")
    graphs = []
    runtime = FakeRuntime()
    runtime.accelerator = SimpleNamespace(
        no_sync=lambda step: nullcontext(), backward=lambda loss: graphs.append(backward_nodes(loss))
    )
    torch.use_deterministic_algorithms(True)
    try:
        with fake_cuda():
            with torch.device("cuda"):
                generator = build_generator({**generator_options, **({"steps": 3} if recipe == "unfolding" else {})})
                made = RECIPES[stage.recipe.type](stage.recipe, generator, stage, runtime)
            side = (stage.recipe.hr_patch_size or 16 * generator.scale) // generator.scale
            lr = torch.empty(2, 3, side, side, device="cuda")
            batch = {"lr": lr, "hr": torch.empty(2, 3, *(n * generator.scale for n in lr.shape[2:]), device="cuda")}
            made.set_iteration(3)
            made.iteration([{**batch, "clean_lr": lr}])
    finally:
        torch.use_deterministic_algorithms(False)
    names = set().union(*graphs)
    assert any("Convolution" in name for name in names)
    assert not [name for name in names if name.startswith(UNREPEATABLE)]


def backward_nodes(loss):
    """Names of the operations that a backward pass from `loss` runs."""
    names, left, seen = set(), [loss.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        names.add(node.name())
        left += [before for before, _ in node.next_functions]
    return names


@pytest.mark.parametrize("recipe", [{"type": "nonlocal_prior"}, {"type": "unfolding"}])
def test_the_released_programs_operator_stays_on_the_device_too(fake_cuda, recipe):
    """The dense form that the acceptance run times beside ours."""
    generator_options, _ = EXPERIMENTS["unfolding"]
    values = {"name": "s", "recipe": recipe, "iterations": 10, "optimizer": {"lr": 1e-4}}
    stage = validate(values, StageOptions, "test")
    with fake_cuda():
        with torch.device("cuda"):
            made = RECIPES[recipe["type"]](stage.recipe, build_generator(generator_options), stage, FakeRuntime())
        for network in made.networks.values():
            with_dense_operator(network)
        assert any(type(module) is DensePrior for module in made.networks["generator"].modules())
        batch = {"lr": torch.empty(2, 3, 16, 16, device="cuda"), "hr": torch.empty(2, 3, 32, 32, device="cuda")}
        loss = made.iteration([{**batch, "clean_lr": batch["lr"]}])["loss"]
    assert loss.device.type == "cuda" and loss.dtype == torch.float32


def test_reading_a_value_would_raise(fake_cuda):
    """The test above can fail: the fake device refuses what would make a GPU wait."""
    with fake_cuda(), pytest.raises(Exception, match="_local_scalar_dense"):
        torch.ones(3, device="cuda").sum().item()
