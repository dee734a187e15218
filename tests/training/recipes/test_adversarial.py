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

from benchmarks.soak import ROOT
from tests.training.recipes.adversarial_recipe import LR, RECIPE, CpuRuntime, make, make_batch, parameters


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
