"""The golden training runs (tests/golden/training) through our recipes, on any device, in float32 or float64.

Each file holds initial weights or their file, the images of each iteration, the released program's losses, and its
weights after the first and the last iteration: small tensors whole, of all of them the sum and the norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.accept.plain_runtime import PlainRuntime
from benchmarks.accept.random_vgg19 import random_vgg19
from models import CISRPSI, Generator, build_generator, load_weights
from models.published_names import names_in_file
from training.options import StageOptions
from training.recipes import RECIPES
from training.recipes.adversarial import Adversarial
from training.recipes.base import Batch, Recipe
from training.runtime import Runtime
from utils.options import validate

CISRNET = {"type": "cisrnet", "scale": 2, "num_feat": 16, "coarse_groups": 1, "coarse_blocks": 2, "fine_groups": 1,
           "fine_blocks": 2}  # fmt: skip
CISR_PSI = {"type": "cisr_psi", "scale": 2, "num_feat": 16, "reduction": 16, "arm_groups": 1, "rem_groups": 1,
            "blocks": 2, "mask": "released"}  # fmt: skip
RRDBNET = {"type": "rrdbnet", "scale": 1, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}

Fixture = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Differences:
    """How far one of our runs is from the released program's."""

    name: str
    losses: float
    """Largest relative difference of a loss."""
    first: float
    """Largest difference of weights after the first iteration: of those kept whole, of sums and norms per √elements."""
    last: float
    """The same after the last iteration."""


RUNS = {
    "CISR-PSI, prior": 1, "CISRNet, coarse": 2, "CISR-PSI, unfolding": 30, "CISRNet, refine": 120,
    "RRDBNet, Charbonnier": 220, "ESRGAN": 1070,
}  # fmt: skip
"""The runs, and how long each takes beside the others, on a CPU."""


def golden_run(name: str, golden: Path, folder: Path, device: torch.device, dtype: torch.dtype) -> Differences:
    """Run one of `RUNS`; `golden` holds the golden files, `folder` is for files of random weights that losses want."""
    with _working_in(dtype):
        runner = _Runner(golden, folder, device, dtype)
        run: Callable[[], Differences] = {
            "CISR-PSI, prior": runner.prior,
            "CISRNet, coarse": runner.coarse,
            "CISR-PSI, unfolding": runner.unfolding,
            "CISRNet, refine": runner.refine,
            "RRDBNet, Charbonnier": runner.charbonnier,
            "ESRGAN": runner.esrgan,
        }[name]
        return run()


@contextmanager
def _working_in(dtype: torch.dtype) -> Iterator[None]:
    """In float64 what losses and the operator bring to float32 must stay: `Tensor.float` then means double."""
    before, to_float = torch.get_default_dtype(), Tensor.float
    torch.set_default_dtype(dtype)
    if dtype == torch.float64:
        Tensor.float = Tensor.double  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        Tensor.float = to_float  # type: ignore[method-assign]  # its own


class _Runner:
    def __init__(self, golden: Path, folder: Path, device: torch.device, dtype: torch.dtype):
        self.golden, self.folder, self.device, self.dtype = golden, folder, device, dtype

    def unfolding(self) -> Differences:
        fixture = self._fixture("cisr_psi_unfolding_x2")
        schedule = {"type": "multistep", "milestones": [50, 100], "gamma": 0.5}
        network = self._network(CISR_PSI, fixture)
        released = {"type": "unfolding", "schedule": "released", "lambda_every": 20}
        recipe = self._recipe(network, released, 1e-4, schedule=schedule)

        def iterate(number: int) -> Iterator[tuple[Tensor, float]]:
            recipe.set_iteration(int(fixture["epochs"][number]) - 1)  # an epoch of one iteration
            terms = recipe.iteration([self._batch(fixture, number, "lr", "hr", "clean_lr")])
            yield from zip((terms[k] for k in ("loss", "restored_lr", "sr")), fixture["losses"][number])

        return self._differences("CISR-PSI, unfolding", fixture, "", network, "cisr_psi", iterate)

    def prior(self) -> Differences:
        fixture = self._fixture("cisr_psi_prior")
        network = self._network(CISR_PSI, fixture)
        recipe = self._recipe(network, {"type": "nonlocal_prior", "kernel": "released"}, 1e-4)

        def iterate(number: int) -> Iterator[tuple[Tensor, float]]:
            terms = recipe.iteration([self._batch(fixture, number, "lr", "clean_lr")])
            yield terms["loss"], fixture["losses"][number]

        assert isinstance(network, CISRPSI)
        return self._differences("CISR-PSI, prior", fixture, "", network.arm.prior, "nonlocal_prior", iterate)

    def coarse(self) -> Differences:
        return self._cisrnet("coarse", 1e-4, 6, {"part": "coarse", "pixel": self._l1(0.1)})

    def refine(self) -> Differences:
        perceptual = {"weight": 0.05, "weights": str(random_vgg19(self.folder, 1.3))}
        return self._cisrnet("refine", 0.75e-4, 3, {"part": "whole", "pixel": self._l1(1.0), "perceptual": perceptual})

    def charbonnier(self) -> Differences:
        recipe = {"type": "supervised", "pixel": {"type": "charbonnier", "eps": 1e-6}}
        return self._rrdbnet("rrdbnet_charbonnier", 2e-4, recipe)

    def esrgan(self) -> Differences:
        recipe = {
            "type": "adversarial",
            "perceptual": {"weights": str(random_vgg19(self.folder, 1.0))},
            "discriminator": {"num_feat": 2, "patch_size": 128},
        }
        return self._rrdbnet("esrgan", 1e-4, recipe)

    # ------------------------------------------------------------------------------------------------ parts

    def _cisrnet(self, name: str, lr: float, drop: int, recipe: dict[str, Any]) -> Differences:
        fixture = self._fixture(f"cisrnet_{name}_x2")
        network = self._network(CISRNET, fixture)
        schedule = {"type": "multistep", "milestones": [drop], "gamma": 0.1}
        made = self._recipe(network, {"type": "coarse_to_fine", **recipe}, lr, schedule=schedule)

        def iterate(number: int) -> Iterator[tuple[Tensor, float]]:
            made.set_iteration(number)
            terms = made.iteration([self._batch(fixture, number, "lr", "hr")])
            yield terms["loss"], fixture["losses"][number]

        return self._differences(f"CISRNet, {name}", fixture, "", network, "cisrnet", iterate)

    def _rrdbnet(self, name: str, lr: float, recipe: dict[str, Any]) -> Differences:
        fixture = self._fixture(name)
        network = build_generator(RRDBNET)
        start = self.folder / f"{name}.pt"
        torch.save({key[7:]: torch.from_numpy(fixture[key]) for key in fixture if key.startswith("init_g/")}, start)
        load_weights(network, start)
        made = self._recipe(network, recipe, lr, batch_size=2)
        if name == "esrgan":
            state = {key[7:]: torch.from_numpy(fixture[key]) for key in fixture if key.startswith("init_d/")}
            assert isinstance(made, Adversarial)
            made.discriminator.load_state_dict(state, strict=False)
        wanted = ("perceptual", "pixel", "adversarial", "discriminator") if name == "esrgan" else ("loss",)

        def iterate(number: int) -> Iterator[tuple[Tensor, float]]:
            hr = enlarged(fixture["small"][number])
            lr = (hr // 16 * 16 + 8).astype(np.uint8)
            made.set_iteration(number)
            terms = made.iteration([{"lr": self._images(lr), "hr": self._images(hr)}])
            yield from ((terms[k], fixture["losses" if k == "loss" else k][number]) for k in wanted)

        title = "ESRGAN" if name == "esrgan" else "RRDBNet, Charbonnier"
        return self._differences(title, fixture, "_g", network, "rrdbnet", iterate)

    def _differences(
        self, name: str, fixture: Fixture, suffix: str, module: nn.Module, kind: str, iterate: Callable
    ) -> Differences:
        losses, first, number = 0.0, 0.0, 0
        for number in range(len(fixture["small" if "small" in fixture else "lr"])):
            for found, wanted in iterate(number):
                losses = max(losses, abs(float(found) - float(wanted)) / abs(float(wanted)))
            if number == 0:
                first = _apart(fixture, f"first{suffix}", module.state_dict(), kind)
        return Differences(name, losses, first, _apart(fixture, f"last{suffix}", module.state_dict(), kind))

    def _fixture(self, name: str) -> Fixture:
        with np.load(self.golden / "training" / f"{name}.npz") as file:
            return dict(file)

    def _network(self, options: dict[str, Any], fixture: Fixture) -> Generator:
        network = build_generator(options)
        load_weights(network, self.golden / str(fixture["init_file"]))
        return network

    def _recipe(self, network: Generator, recipe: dict, lr: float, **stage: Any) -> Recipe:
        values = {"name": "s", "recipe": recipe, "iterations": 1000, "optimizer": {"lr": lr}, **stage}
        options = validate(values, StageOptions, "golden run")
        network = network.to(self.dtype).train()
        made = RECIPES[options.recipe.type](options.recipe, network, options, cast(Runtime, PlainRuntime(self.device)))
        for part in ("losses", "discriminator"):
            if hasattr(made, part):
                getattr(made, part).to(self.dtype)
        return made

    def _batch(self, fixture: Fixture, number: int, *names: str) -> Batch:
        return {name: self._images(fixture[name][number]) for name in names}

    def _images(self, array: np.ndarray) -> Tensor:
        """uint8 N×h×w×3 → N×3×h×w in [0, 1] on the device."""
        return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous().to(self.device, self.dtype) / 255

    @staticmethod
    def _l1(weight: float) -> dict[str, Any]:
        return {"type": "l1", "weight": weight, "value_range": 255}


def _apart(fixture: Fixture, tag: str, state: dict[str, Tensor], kind: str) -> float:
    names = [str(name) for name in fixture[f"{tag}_names"]]
    in_file = names_in_file({name: torch.zeros(()) for name in names}, kind)
    ours = {there: here for here, there in in_file.items()}
    worst = 0.0
    for name, total, norm in zip(names, fixture[f"{tag}_sums"], fixture[f"{tag}_norms"]):
        tensor = state[ours[name]].detach().cpu().double()
        root = tensor.numel() ** 0.5
        apart = [abs(float(tensor.sum()) - total) / root, abs(float(tensor.square().sum().sqrt()) - norm) / root]
        if f"{tag}/{name}" in fixture:
            apart.append(float((tensor - torch.from_numpy(fixture[f"{tag}/{name}"])).abs().max()))
        worst = max(worst, *apart)
    return float(worst)


def enlarged(small: np.ndarray) -> np.ndarray:
    """uint8 N×(k+1)×(k+1)×3 → N×8k×8k×3: linear between the pixels, in whole numbers."""
    big = small.astype(np.int64)
    for axis in (1, 2):
        big = np.moveaxis(big, axis, 0)
        a, b = big[:-1], big[1:]
        between = np.stack([(8 - k) * a + k * b for k in range(8)], 1).reshape(-1, *a.shape[1:])
        big = np.moveaxis(between, 0, axis)
    return ((big + 32) // 64).astype(np.uint8)
