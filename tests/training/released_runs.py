"""Our recipes run on what the released programs were run on, and how far the two are apart.

`tests/golden/training/*.npz` hold runs of the released programs on small networks, on the CPU in float64: initial
weights (in the file, or the file of `tests/golden` that it names), the batches of each iteration as uint8 images, the
losses of each iteration, and weights after the first and the last: whole where they are small, of all sum and norm.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import build_generator, load_weights
from models.checkpoints import read_renamed
from training.options import RuntimeOptions, StageOptions
from training.recipe import Recipe
from training.recipes import RECIPES
from training.runtime import Runtime
from utils.options import validate

GOLDEN = Path(__file__).parents[1] / "golden"

CISR_PSI = {
    "type": "cisr_psi",
    "scale": 2,
    "num_feat": 16,
    "reduction": 16,
    "arm_groups": 1,
    "rem_groups": 1,
    "blocks": 2,
    "mask": "released",
}
CISRNET = {
    "type": "cisrnet",
    "scale": 2,
    "num_feat": 16,
    "coarse_groups": 1,
    "coarse_blocks": 2,
    "fine_groups": 1,
    "fine_blocks": 2,
}
RRDBNET = {"type": "rrdbnet", "scale": 1, "num_feat": 8, "num_block": 1, "num_grow_ch": 4}


@dataclass
class Distance:
    """How far a run is from the released program's: losses relative to theirs, weights absolute."""

    losses: float = 0.0
    weights: float = 0.0


@contextmanager
def double_precision() -> Iterator[None]:
    """float64 for all that is made or computed inside, also where the project asks for float32 by `.float()`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "float", torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def unfolding(iterations: int | None = None) -> Distance:
    """CISR-PSI's ARM and REM, in epochs of one iteration: 1, 2, 19, 20, 51 and 101."""
    run = _Run("cisr_psi_unfolding_x2", CISR_PSI)
    recipe = run.recipe(
        {"type": "unfolding", "schedule": "released", "lambda_every": 20},
        1e-4,
        schedule={"type": "multistep", "milestones": [50, 100], "gamma": 0.5},
    )
    for i, epoch in enumerate(run.fixture["epochs"][:iterations]):
        recipe.set_iteration(int(epoch) - 1)
        batch = {name: run.images(run.fixture[name][i]) for name in ("lr", "hr", "clean_lr")}
        wanted = dict(zip(("loss", "restored_lr", "sr"), run.fixture["losses"][i]))
        run.iterate(recipe, batch, wanted, rate=run.fixture["learning_rates"][i])
    return run.distance


def prior(**options: str) -> Distance:
    """CISR-PSI's non-local prior."""
    run = _Run("cisr_psi_prior", CISR_PSI)
    recipe = run.recipe({"type": "nonlocal_prior", **{"kernel": "released", **options}}, 1e-4)
    run.compared = [("", "nonlocal_prior", run.generator.arm.prior)]
    for i, loss in enumerate(run.fixture["losses"]):
        batch = {name: run.images(run.fixture[name][i]) for name in ("lr", "clean_lr")}
        run.iterate(recipe, batch, {"loss": loss}, rate=1e-4)
    return run.distance


def coarse() -> Distance:
    """CISRNet's first stage."""
    losses = {"part": "coarse", "pixel": {"type": "l1", "weight": 0.1, "value_range": 255}}
    return _cisrnet("coarse", losses, 1e-4, falls_after=6)


def refine(vgg19: Path, iterations: int | None = None) -> Distance:
    """CISRNet's second stage."""
    losses = {
        "part": "whole",
        "pixel": {"type": "l1", "weight": 1.0, "value_range": 255},
        "perceptual": {"weight": 0.05, "weights": str(vgg19)},
    }
    return _cisrnet("refine", losses, 0.75e-4, falls_after=3, iterations=iterations)


def _cisrnet(part: str, losses: dict, lr: float, falls_after: int, iterations: int | None = None) -> Distance:
    run = _Run(f"cisrnet_{part}_x2", CISRNET)
    schedule = {"type": "multistep", "milestones": [falls_after], "gamma": 0.1}
    recipe = run.recipe({"type": "coarse_to_fine", **losses}, lr, schedule=schedule)
    for i, loss in enumerate(run.fixture["losses"][:iterations]):
        recipe.set_iteration(i)
        batch = {name: run.images(run.fixture[name][i]) for name in ("lr", "hr")}
        run.iterate(recipe, batch, {"loss": loss}, rate=run.fixture["learning_rates"][i])
    return run.distance


def charbonnier() -> Distance:
    """RRDBNet's pre-training."""
    run = _Run("rrdbnet_charbonnier", RRDBNET)
    recipe = run.recipe({"type": "supervised", "pixel": {"type": "charbonnier", "eps": 1e-6}}, 2e-4, batch_size=2)
    run.compared = [("_g", "rrdbnet", run.generator)]
    for small, loss in zip(run.fixture["small"], run.fixture["losses"], strict=True):
        run.iterate(recipe, run.quality_enhancement(small), {"loss": loss}, rate=2e-4)
    return run.distance


def esrgan(vgg19: Path, iterations: int | None = None) -> Distance:
    """RRDBNet and its discriminator."""
    run = _Run("esrgan", RRDBNET)
    options = {
        "type": "adversarial",
        "perceptual": {"weights": str(vgg19)},
        "discriminator": {"num_feat": 2, "patch_size": 128},
    }
    recipe = run.recipe(options, 1e-4, batch_size=2)
    initial = run.initial("init_d/")  # parameters only: batch norm's running statistics are not read in training
    assert initial.keys() == dict(recipe.discriminator.named_parameters()).keys()
    recipe.discriminator.load_state_dict(initial, strict=False)
    run.compared = [("_g", "rrdbnet", run.generator), ("_d", None, recipe.discriminator)]
    for i, small in enumerate(run.fixture["small"][:iterations]):
        wanted = {name: run.fixture[name][i] for name in ("perceptual", "pixel", "adversarial", "discriminator")}
        run.iterate(recipe, run.quality_enhancement(small), wanted, rate=1e-4)
    return run.distance


def write_vgg19(path: Path, gain: float) -> Path:
    """VGG19's convolutions with the random weights that the released programs were given, of a certain `gain`."""
    rng, tensors, index, channels = np.random.RandomState(19), {}, 0, 3
    for stage, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            spread = np.float32(gain * (2 / (9 * channels)) ** 0.5)
            weight = rng.standard_normal((stage, channels, 3, 3)).astype(np.float32) * spread
            bias = rng.standard_normal(stage).astype(np.float32) * np.float32(0.05)
            tensors[f"features.{index}.weight"] = torch.from_numpy(weight)
            tensors[f"features.{index}.bias"] = torch.from_numpy(bias)
            index, channels = index + 2, stage  # a ReLU after each convolution
        index += 1  # a pooling after each stage
    torch.save(tensors, path)
    return path


class _Run:
    """One fixture, the generator that it starts from, and the distance so far.

    `compared`: (suffix of the fixture's keys, network type whose published names they have or None, module).
    """

    def __init__(self, name: str, generator: dict):
        self.fixture = np.load(GOLDEN / "training" / f"{name}.npz")
        self.generator = build_generator(generator)
        self.compared = [("", generator["type"], self.generator)]
        self.distance, self.done = Distance(), 0
        if "init_file" in self.fixture:
            path = GOLDEN / str(self.fixture["init_file"])
            assert hashlib.sha256(path.read_bytes()).hexdigest() == str(self.fixture["init_sha256"])
            load_weights(self.generator, path)
        else:
            _load_published(self.generator, self.initial("init_g/"))

    def initial(self, prefix: str) -> dict[str, Tensor]:
        """The initial weights that the fixture itself holds, by published name."""
        return {key.removeprefix(prefix): torch.from_numpy(self.fixture[key]) for key in self.fixture if prefix in key}

    def recipe(self, recipe: dict, lr: float, **stage: object) -> Recipe:
        content = {"name": "s", "recipe": recipe, "iterations": 1000, "optimizer": {"lr": lr}, **stage}
        options = validate(content, StageOptions, "fixture")
        runtime = Runtime(RuntimeOptions(device="cpu", channels_last=False))
        return RECIPES[options.recipe.type](options.recipe, self.generator.train(), options, runtime)

    @staticmethod
    def images(array: np.ndarray) -> Tensor:
        """N×h×w×3, uint8, as `Runtime.to_device` makes a batch of it, but of the default type."""
        return torch.from_numpy(array).permute(0, 3, 1, 2).contiguous().to(torch.get_default_dtype()) / 255

    def quality_enhancement(self, small: np.ndarray) -> dict[str, Tensor]:
        """128×128 HR patches out of the 17×17 ones that are kept, and the same coarsely quantised as LR."""
        hr = _enlarged(small)
        return {"lr": self.images((hr // 16 * 16 + 8).astype(np.uint8)), "hr": self.images(hr)}

    def iterate(self, recipe: Recipe, batch: dict[str, Tensor], wanted: dict[str, float], rate: float) -> None:
        assert recipe.optimizers["generator"].param_groups[0]["lr"] == pytest.approx(float(rate), rel=1e-12)
        terms = recipe.iteration([batch])
        for name, value in wanted.items():
            self.distance.losses = max(self.distance.losses, abs(float(terms[name]) - value) / value)
        self.done += 1
        if self.done == 1:
            self._compare("first")
        if self.done == self._length():
            self._compare("last")

    def _length(self) -> int:
        """Iterations of the whole run, after which the fixture holds weights."""
        return len(self.fixture["small" if "small" in self.fixture else "lr"])

    def _compare(self, when: str) -> None:
        for suffix, type_, module in self.compared:
            tag = when + suffix
            names = [str(name) for name in self.fixture[f"{tag}_names"]]
            ours = _our_names(names, type_)
            state = module.state_dict()
            for name, total, norm in zip(names, self.fixture[f"{tag}_sums"], self.fixture[f"{tag}_norms"]):
                tensor = state[ours[name]].double()
                root = tensor.numel() ** 0.5
                apart = [abs(float(tensor.sum()) - total) / root, abs(float(tensor.norm()) - norm) / root]
                if f"{tag}/{name}" in self.fixture:
                    whole = torch.from_numpy(self.fixture[f"{tag}/{name}"])
                    apart.append(float((tensor - whole).abs().max()))
                self.distance.weights = max(self.distance.weights, *apart)


def _enlarged(small: np.ndarray) -> np.ndarray:
    """N×17×17×3 → N×128×128×3, uint8: linear between neighbours, in whole numbers."""
    big = small.astype(np.int64)
    for axis in (1, 2):
        big = np.moveaxis(big, axis, 0)
        a, b = big[:-1], big[1:]
        between = np.stack([(8 - k) * a + k * b for k in range(8)], axis=1)
        big = np.moveaxis(between.reshape(-1, *a.shape[1:]), 0, axis)
    return ((big + 32) // 64).astype(np.uint8)


def _our_names(names: list[str], type_: str | None) -> dict[str, str]:
    """Published name → ours; without a type they are the same."""
    if type_ is None:
        return {name: name for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbered.pth"
        torch.save({name: torch.tensor(number) for number, name in enumerate(names)}, path)
        return {names[int(number)]: our for our, number in read_renamed(path, type_).items()}


def _load_published(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        torch.save(tensors, Path(folder) / "initial.pth")
        load_weights(network, Path(folder) / "initial.pth")
