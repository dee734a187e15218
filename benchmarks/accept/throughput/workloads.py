"""The trainings whose speed is measured: the papers' own stages, small ones of the same kind on a CPU."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.accept.plain_runtime import PlainRuntime
from benchmarks.accept.random_vgg19 import random_vgg19
from models import build_generator
from training.memory_estimate import stage_memory
from training.options import StageOptions, TrainOptions
from training.recipes import RECIPES
from training.recipes.base import Batch, Recipe
from training.runtime import Runtime, RuntimeOptions
from utils.options import load

ROOT = Path(__file__).parents[3]
STAGES = {
    "CISRNet ×2, coarse": ("cisrnet/x2.yml", 0),
    "CISRNet ×2, whole": ("cisrnet/x2.yml", 1),
    "CISRNet ×4, coarse": ("cisrnet/x4.yml", 0),
    "CISRNet ×4, whole": ("cisrnet/x4.yml", 1),
    "CISR-PSI ×2, prior": ("cisr_psi/x2.yml", 0),
    "CISR-PSI ×2, unfolding": ("cisr_psi/x2.yml", 1),
    "RRDBNet": ("esrgan/rrdbnet_hevc37.yml", 0),
    "ESRGAN": ("esrgan/esrgan_hevc37.yml", 0),
}
"""The papers' stages: file below options/, position."""
GFLOPS = {
    "CISRNet ×2, coarse": 1472.519, "CISRNet ×2, whole": 4316.390,
    "CISRNet ×4, coarse": 1772.933, "CISRNet ×4, whole": 13148.405,
    "CISR-PSI ×2, prior": 18.353, "CISR-PSI ×2, unfolding": 4943.939,
    "RRDBNet": 4556.121, "ESRGAN": 6102.310,
}  # fmt: skip
"""10⁹ operations of an iteration of each; `python -m benchmarks.accept.throughput.workloads` counts them in minutes."""
# Of networks, patches and batches on a CPU.
SMALL = {
    "cisrnet": ["generator.num_feat=16", "generator.reduction=4", "generator.coarse_groups=1",
                "generator.coarse_blocks=2", "generator.fine_groups=1", "generator.fine_blocks=1",
                "data.train.patch_size=16"],
    "cisr_psi": ["generator.num_feat=16", "generator.reduction=4", "generator.arm_groups=1", "generator.rem_groups=1",
                 "generator.blocks=1", "data.train.patch_size=16"],
    "rrdbnet": ["generator.num_feat=16", "generator.num_block=1", "generator.num_grow_ch=8",
                "data.train.patch_size=32"],
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """One stage of one options file, ready to be made on a device."""

    title: str
    options: TrainOptions
    position: int

    @property
    def stage(self) -> StageOptions:
        return self.options.stages[self.position]

    def estimated_bytes(self) -> int:
        """What `train.py --check` says of its memory."""
        return stage_memory(self.options, self.position).total

    def make(self, runtime: Runtime | PlainRuntime) -> tuple[Recipe, Batch]:
        """The recipe on random weights, and a batch of noise."""
        torch.manual_seed(0)
        stage, side, scale = self.stage, self.options.data.train.patch_size, self.options.generator.scale
        generator = build_generator(self.options.generator).train()
        recipe = RECIPES[stage.recipe.type](stage.recipe, generator, stage, cast(Runtime, runtime))
        recipe.set_iteration(1)
        sizes = {"lr": side, "hr": side * scale, **({"clean_lr": side} if recipe.needs_clean_lr else {})}
        batch = {name: torch.rand(stage.batch_size, 3, size, size) for name, size in sizes.items()}
        return recipe, {name: images.to(runtime.device, memory_format=runtime.layout) for name, images in batch.items()}

    def operations(self) -> int:
        """Floating-point operations (2 per multiply-add) of one iteration, backward passes among them: counted by
        following it on the meta device, nothing is computed.
        """
        with torch.device("meta"):
            recipe, batch = self.make(PlainRuntime(torch.device("meta")))
        with FlopCounterMode(display=False) as counter:  # on torch's own device: Adam reads the number of its steps
            recipe.iteration([batch])
        return counter.get_total_flops()


def eager(device: torch.device, **changes) -> RuntimeOptions:
    """Eager float32 without TF32 in torch's own layout, and what is changed of it."""
    plain = {"device": device.type, "tf32": False, "channels_last": False}
    return RuntimeOptions(**{**plain, **changes})


def workloads(folder: Path, full: bool) -> list[Workload]:
    """All of them, at the papers' sizes or small. VGG19's weights are random, a file in `folder`: speed does not depend
    on them.
    """
    vgg = random_vgg19(folder, 1.0)
    made = []
    for title, (file, position) in STAGES.items():
        options = load(ROOT / "options" / file, TrainOptions)
        overrides = [
            f"stages.{place}.recipe.perceptual.weights={vgg}"
            for place, stage in enumerate(options.stages)
            if getattr(stage.recipe, "perceptual", None) is not None
        ]
        if not full:
            overrides += SMALL[options.generator.type]
            overrides += [f"stages.{place}.batch_size=2" for place in range(len(options.stages))]
            if options.stages[position].recipe.type == "adversarial":
                overrides += [f"stages.{position}.recipe.discriminator={{num_feat: 4, patch_size: 32}}"]
                overrides += [f"stages.{position}.recipe.perceptual.layer=conv2_2"]
        made.append(Workload(title, load(ROOT / "options" / file, TrainOptions, overrides), position))
    return made


def main() -> None:
    """Print `GFLOPS` anew."""
    with tempfile.TemporaryDirectory() as folder:
        for workload in workloads(Path(folder), full=True):
            print(f'"{workload.title}": {workload.operations() / 1e9:.3f},', flush=True)


if __name__ == "__main__":
    main()
