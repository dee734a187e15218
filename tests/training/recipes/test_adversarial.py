"""Recipe `adversarial` against updates worked out here: what moves when, by how much, with whom."""

import copy
import os
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import torchvision

from benchmarks.soak import ROOT, experiment, write_photos
from losses import LossWeightsError
from models import build_generator
from models.checkpoints import read_state
from models.weight_files import export_weights
from training.experiment import run_experiment
from training.options import StageOptions, TrainOptions
from training.recipes import RECIPES
from training.run_folder import RunFolder, read_checkpoint
from utils.errors import UserError
from utils.options import load, validate

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


def test_one_iteration_is_the_papers():
    recipe, batch = make(), make_batch(1)
    generator, judge = copy.deepcopy(recipe.networks["generator"]), copy.deepcopy(recipe.networks["discriminator"])
    judge.requires_grad_(True)
    lr, hr = batch["lr"], batch["hr"]
    sr = generator(lr)
    d_sr, d_hr = judge(sr), judge(hr)
    to_hr, to_sr = d_hr.detach() - d_sr.mean(), d_sr - d_hr.detach().mean()
    pixel = 0.01 * ((sr - hr).square() + 1e-6).sqrt().mean()
    adversarial = 0.5 * (F.softplus(to_hr).mean() + F.softplus(-to_sr).mean()) / 2
    gradients = torch.autograd.grad(pixel + adversarial, list(generator.parameters()))
    expected = {f"generator.{name}": p - LR * g for (name, p), g in zip(generator.named_parameters(), gradients)}
    d_sr, d_hr = judge(sr.detach()), judge(hr)
    halves = F.softplus(-(d_hr - d_sr.detach().mean())).mean() / 2 + F.softplus(d_sr - d_hr.detach().mean()).mean() / 2
    gradients = torch.autograd.grad(halves, list(judge.parameters()))
    expected |= {f"discriminator.{name}": p - 0.2 * g for (name, p), g in zip(judge.named_parameters(), gradients)}

    before = parameters(recipe)
    terms = recipe.iteration([batch])
    after = parameters(recipe)
    for name, value in expected.items():
        torch.testing.assert_close(after[name], value.detach(), rtol=1e-5, atol=1e-6)
        assert not torch.equal(after[name], before[name]), name
    logged = {
        "loss": pixel + adversarial,
        "pixel": pixel,
        "adversarial": adversarial,
        "discriminator": halves,
        "d_hr": d_hr.mean(),
        "d_sr": d_sr.mean(),
    }
    assert terms.keys() == logged.keys() and not any(term.requires_grad for term in terms.values())
    for name, value in logged.items():
        torch.testing.assert_close(terms[name], value.detach(), rtol=1e-5, atol=1e-6)
    assert batch.keys() == {"lr", "hr"}  # the caller's batch is left alone


def test_the_generator_moves_first_and_each_update_moves_one_network():
    recipe = make()
    states = [parameters(recipe)]
    recipe.optimizers["generator"].register_step_pre_hook(
        lambda *_: states.append({f"discriminator.{n}": p.grad for n, p in recipe.discriminator.named_parameters()})
    )
    for name in ("generator", "discriminator"):
        recipe.optimizers[name].register_step_post_hook(lambda *_, name=name: states.append((name, parameters(recipe))))
    recipe.iteration([make_batch(1)])
    before, gradients, (first, between), (second, after) = states
    assert (first, second) == ("generator", "discriminator")
    assert all(gradient is None for gradient in gradients.values())
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], between[name])}
    assert moved == {"generator"}
    moved = {name.split(".")[0] for name in before if not torch.equal(between[name], after[name])}
    assert moved == {"discriminator"}


def test_micro_batches_average_the_updates_of_each():
    """The means, like batch norm's statistics, are a micro-batch's own."""
    batches = [make_batch(1), make_batch(2)]
    recipes = [make() for _ in range(3)]
    before = parameters(recipes[0])
    for recipe, micro_batches in zip(recipes, ([batches[0]], [batches[1]], batches)):
        recipe.iteration(micro_batches)
    alone, other, both = (parameters(recipe) for recipe in recipes)
    for name, value in before.items():
        expected = value + (alone[name] - value) / 2 + (other[name] - value) / 2
        torch.testing.assert_close(both[name], expected, rtol=1e-5, atol=1e-6)


def test_both_networks_are_clipped_and_each_has_its_learning_rate():
    most = 1e-3
    recipe = make(clip_grad_norm=most, schedule={"type": "cosine", "final": 0.1})
    recipe.set_iteration(5)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in recipe.optimizers.values()]
    assert rates == pytest.approx([0.55 * LR, 0.55 * 0.2])
    before = parameters(recipe)
    terms = recipe.iteration([make_batch(1)])
    after = parameters(recipe)
    for network, rate, norm in zip(("generator", "discriminator"), rates, ("grad_norm", "grad_norm_d")):
        moved = [(after[name] - before[name]).flatten() for name in before if name.startswith(network)]
        assert terms[norm] > most
        assert torch.cat(moved).norm().item() == pytest.approx(rate * most, rel=1e-2)


def test_one_scaler_serves_two_optimisers():
    """fp16's gradient scaling leaves the updates as they are: each optimiser's gradients are unscaled once."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scales = []

    class Optimizer:
        """Steps as accelerate's does."""

        def __init__(self, optimizer):
            self.inner, self.param_groups, self.zero_grad = optimizer, optimizer.param_groups, optimizer.zero_grad

        def step(self):
            scales.append(scaler.get_scale())
            scaler.step(self.inner)
            scaler.update(new_scale=scaler.get_scale() / 2)

    class Scaled(CpuRuntime):
        accelerator = SimpleNamespace(
            backward=lambda loss: scaler.scale(loss).backward(),
            no_sync=lambda step: nullcontext(),
            unscale_gradients=lambda optimizer: scaler.unscale_(optimizer.inner),
        )

        def prepare(self, step, optimizer):
            return step, Optimizer(optimizer)

    plain, scaled = (make(runtime, clip_grad_norm=0.1) for runtime in (CpuRuntime(), Scaled()))
    for seed in (1, 2):
        terms = [recipe.iteration([make_batch(seed)]) for recipe in (plain, scaled)]
    assert scales == [1024, 512, 256, 128]
    torch.testing.assert_close(terms[0], terms[1], rtol=1e-4, atol=1e-6)
    for name, value in parameters(plain).items():
        torch.testing.assert_close(parameters(scaled)[name], value, rtol=1e-4, atol=1e-6)


def two_iterations(runtime, rank=0, ranks=1):
    """A process's share of the training: its terms, averaged over processes, and the parameters."""
    recipe = make(runtime)
    # Batch norm's statistics are a process's own: here those of a batch that all know.
    norms = [module for module in recipe.discriminator.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    recipe.discriminator(make_batch(0, 4)["hr"])
    for norm in norms:
        norm.eval()
    for seed in (1, 2):
        mine = {name: images[rank * 4 // ranks :][: 4 // ranks] for name, images in make_batch(seed, 4).items()}
        terms = recipe.iteration([mine])
    return {name: runtime.mean(value) for name, value in terms.items()}, parameters(recipe)


PROCESS = """
import sys, torch
sys.path.insert(0, "tests/training/recipes")
from test_adversarial import two_iterations
from training.runtime import RuntimeOptions
from training.runtime import Runtime
runtime = Runtime(RuntimeOptions(device="cpu"))
result = two_iterations(runtime, runtime.rank, runtime.ranks)
if runtime.is_main:
    torch.save(result, sys.argv[1])
runtime.close()
"""


def test_two_processes_take_the_means_of_both(tmp_path):
    """But for batch norm's statistics, the updates are those of one process with the whole batch."""
    (tmp_path / "process.py").write_text(PROCESS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command += [tmp_path / "process.py", tmp_path / "result"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    got = torch.load(tmp_path / "result", weights_only=True)
    torch.testing.assert_close(got, two_iterations(CpuRuntime()), rtol=1e-5, atol=5e-6)


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


def test_a_unet_discriminator_and_lpips_train_too(tmp_path):
    """Each network moves, the terms are those of the parts, and state comes back to the bit."""
    torch.manual_seed(5)
    features = torchvision.models.squeezenet1_1(weights=None).features.state_dict()
    torch.save({f"features.{name}": tensor for name, tensor in features.items()}, tmp_path / "squeeze.pth")
    lpips = {"net": "squeeze", "weights": str(tmp_path / "squeeze.pth"), "weight": 0.5}
    recipe_options = {**RECIPE, "lpips": lpips, "discriminator": {"type": "unet", "num_feat": 2, "patch_size": 32}}
    recipes = [make(recipe=recipe_options) for _ in range(2)]
    before = parameters(recipes[0])
    terms = recipes[0].iteration([make_batch(1)])
    assert {"lpips", "pixel", "adversarial", "discriminator"} <= terms.keys()
    assert all(term.isfinite() for term in terms.values())
    expected = terms["lpips"] + terms["pixel"] + terms["adversarial"]
    torch.testing.assert_close(terms["loss"], expected)
    after = parameters(recipes[0])
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"generator", "discriminator"}
    for name, network in recipes[1].networks.items():
        network.load_state_dict(recipes[0].networks[name].state_dict())
    for recipe in recipes:
        recipe.iteration([make_batch(2)])
    first, second = map(parameters, recipes)
    assert all(torch.equal(first[name], second[name]) for name in first)
