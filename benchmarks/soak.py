"""Kill trainings at random moments, resume them, and compare the end with a training that was never stopped.

    python benchmarks/soak.py [--kills 50] [--recipes supervised coarse_to_fine] [--seed 0]

Every checkpoint write is one of the moments: a checkpoint is written after each iteration. Same bytes means
`torch.equal` on every tensor of the last checkpoint, and equal files of exported weights. A recipe joins by a line in
`EXPERIMENTS`.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import torch
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from training.run_folder import RunFolder, read_checkpoint  # noqa: E402

CISRNET = {"type": "cisrnet", "scale": 2, "num_feat": 8, "coarse_groups": 1, "coarse_blocks": 1, "fine_groups": 1,
           "fine_blocks": 1}  # fmt: skip
CISR_PSI = {
    "type": "cisr_psi",
    "scale": 2,
    "num_feat": 8,
    "reduction": 4,
    "arm_groups": 1,
    "rem_groups": 1,
    "blocks": 1,
}
RRDBNET = {"type": "rrdbnet", "scale": 2, "num_feat": 4, "num_block": 1, "num_grow_ch": 4, "pixel_unshuffle": False}
L1 = {"type": "l1", "value_range": 255}

# Recipe -> its generator and its stages' recipes; one entry makes a recipe part of the soak and of the tests.
EXPERIMENTS: dict[str, tuple[dict, list[dict]]] = {
    "supervised": (CISRNET, [{"type": "supervised", "pixel": L1}]),
    "coarse_to_fine": (
        CISRNET,
        [
            {"type": "coarse_to_fine", "part": "coarse", "pixel": L1},
            {"type": "coarse_to_fine", "part": "whole", "pixel": L1},
        ],
    ),
    "unfolding": (CISR_PSI, [{"type": "nonlocal_prior"}, {"type": "unfolding", "lambda_every": 20}]),
    "adversarial": (
        RRDBNET,
        [
            {
                "type": "adversarial",
                "perceptual": None,
                "discriminator": {"num_feat": 2, "patch_size": 32},
                "optimizer": {"lr": 5e-4},
            }
        ],
    ),
}


def experiment(recipe: str, folder: Path, photos: Path, iterations: int, **stage_options) -> Path:
    """Write the options of a tiny experiment into `folder`; returns the file."""
    generator, recipes = copy.deepcopy(EXPERIMENTS[recipe])
    stage = {
        "iterations": iterations,
        "batch_size": 4,
        "optimizer": {"lr": 1e-3},
        "schedule": {"type": "cosine"},
        "ema": 0.9,
        "clip_grad_norm": 10.0,
        "log_every": 5,
        "validation": {"every": 4},
        "checkpoint": {"every": 1},
        **stage_options,
    }
    options = {
        "name": recipe,
        "root": str(folder / "runs"),
        "generator": generator,
        "data": {
            "train": {
                "hr": str(photos),
                "prepared": str(folder.parent / "store"),
                "compressions": ["jpeg10", "webp20"],
                "patch_size": 16,  # ×2: the smallest that a discriminator judges
                "workers": 1,
            },
            "validation": [{"name": "photos", "hr": str(photos), "compressions": ["jpeg10"]}],
        },
        "stages": [{"name": f"stage{n}", "recipe": recipe, **stage} for n, recipe in enumerate(recipes)],
        "runtime": {"device": "cpu"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recipe}.yml"
    path.write_text(yaml.safe_dump(options))
    return path


def start(options: Path, *arguments: str) -> subprocess.Popen:
    """`train.py` as a process of its own."""
    command: list[str | Path] = [sys.executable, ROOT / "train.py", "--options", options, *arguments]
    # One thread: the networks are tiny, and several threads would fight for the cores with other trainings.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(options: Path, *arguments: str) -> None:
    """Train to the end with `train.py`; raises where that fails."""
    process = start(options, *arguments)
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"train.py ended with {process.returncode}: {errors}")


@cache
def _processes() -> ForkServerContext:
    """Processes forked from one that has imported everything and done nothing: starting Python anew for each of
    hundreds of trainings would take longer than the trainings.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["training.experiment", "accelerate", "torch.utils.tensorboard"])
    return context


def fork(options: Path, resume: str | None = None, *overrides: str) -> ForkServerProcess:
    """What `train.py` does, in a process that starts at once; its output goes to `output.txt` beside the options."""
    process = _processes().Process(target=_train, args=(options, resume, overrides))
    process.start()
    return process


def _train(options: Path, resume: str | None, overrides: tuple[str, ...]) -> None:
    from training.experiment import run_experiment
    from training.options import TrainOptions
    from utils.options import load

    multiprocessing.set_start_method(None, force=True)  # the loader's workers start as they always do
    torch.set_num_threads(1)  # as in `start`
    with (options.parent / "output.txt").open("a") as output:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output.fileno(), stream.fileno())
    sys.exit(run_experiment(load(options, TrainOptions, overrides), resume))


def train(options: Path, resume: str | None = None, *overrides: str) -> None:
    """`fork` to the end; raises where that fails."""
    process = fork(options, resume, *overrides)
    process.join()
    if process.exitcode:
        output = (options.parent / "output.txt").read_text()
        raise RuntimeError(f"the training ended with {process.exitcode}: {output}")


def kill_and_resume(options: Path, kills: int, rng: random.Random, longest: float) -> int:
    """Start or resume the training and kill it up to `longest` seconds after its first new checkpoint, `kills` times.

    Then train to the end. Returns how many kills met a running training (it may end before).
    """
    met = 0
    for _ in range(kills):
        before = _files(options)
        process = fork(options, "auto")
        while process.is_alive() and _files(options) == before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, longest))
        if process.is_alive():
            process.kill()
            met += 1
        process.join()
    train(options, "auto")
    return met


def _files(options: Path) -> set[str]:
    return {str(path) for path in (options.parent / "runs").rglob("checkpoints/*")}


def differences(options: Path, other: Path) -> list[str]:
    """What differs between the ends of two trainings: names of tensors and files. Empty: the same bytes."""
    found = []
    stages = yaml.safe_load(options.read_text())["stages"]
    for stage in stages:
        a, b = (RunFolder(path.parent / "runs" / path.stem / stage["name"]) for path in (options, other))
        for file in ("best.safetensors", "last.safetensors"):
            if (a.folder / file).read_bytes() != (b.folder / file).read_bytes():
                found.append(f"{stage['name']}/{file}")
        last = stage["iterations"]
        state, other_state = read_checkpoint(a.checkpoint(last)), read_checkpoint(b.checkpoint(last))
        found += _differing(state, other_state, stage["name"])
    return found


def _differing(a: object, b: object, where: str) -> list[str]:
    if isinstance(a, torch.Tensor):
        return [] if isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b) else [where]
    if isinstance(a, dict):
        if not isinstance(b, dict) or a.keys() != b.keys():
            return [where]
        return [name for key in a if key != "options" for name in _differing(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, (list, tuple)):
        if not isinstance(b, (list, tuple)) or len(a) != len(b):
            return [where]
        return [name for place in range(len(a)) for name in _differing(a[place], b[place], f"{where}.{place}")]
    return [] if a == b else [where]


def write_photos(folder: Path) -> Path:
    """Two crops of scikit-image's photographs as PNG files."""
    import skimage.data

    from utils.images import write_png

    write_png(folder / "a.png", skimage.data.coffee()[100:196, 200:312])
    write_png(folder / "b.png", skimage.data.astronaut()[30:126, 170:270])
    return folder


def main() -> int:
    """Soak the recipes; returns 1 where one ended differently."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="kills per recipe")
    parser.add_argument("--iterations", type=int, default=400, help="iterations of each stage")
    parser.add_argument("--recipes", nargs="*", default=list(EXPERIMENTS), choices=list(EXPERIMENTS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = write_photos(folder / "photos")
        for recipe in arguments.recipes:
            straight = experiment(recipe, folder / "straight", photos, arguments.iterations)
            train(straight)
            killed = experiment(recipe, folder / "killed", photos, arguments.iterations)
            met = kill_and_resume(killed, arguments.kills, rng, longest=0.5)
            found = differences(straight, killed)
            failed |= bool(found)
            print(
                f"{recipe}: {met} kills, {'same bytes' if not found else 'differs in ' + ', '.join(found)}", flush=True
            )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
