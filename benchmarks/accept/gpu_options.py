"""Do the trainings of options/gpu end in time on this device, with weights that restore?

    python -m data.download quickstart          # photographs of scikit-image; no network
    python -m benchmarks.accept.gpu_options [--device cpu] [--minutes 1] [--names cisrnet_x2 ...] [--output DIR]

Each is checked as by `--check` and trained. Its last stage's best weights are scored beside those that it started from
and bicubic (at scale 1 the input): Y-PSNR on 96×96 pixels of each held-out photograph at the first compression that the
file validates on. Networks and patches are those of the files; on a CPU batches are of 2, and a recipe whose VGG16 is
missing does without. DIR keeps the runs. The status is 0 if every training ended and its weights were scored.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).parents[2]
OPTIONS = ROOT / "options" / "gpu"
SIDE = 96
"""Pixels of a side of the images that are scored."""


def main(argv: list[str]) -> int:
    """Check, train and score each, print a table; returns the exit status."""
    names = sorted(path.stem for path in OPTIONS.glob("*.yml"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accept.gpu_options", description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--minutes", type=float, default=1, help="of each training (default 1)")
    parser.add_argument("--batch", type=int, default=None, help="default: 2 on a CPU, the file's on a GPU")
    parser.add_argument("--names", nargs="*", choices=names, default=names, metavar="NAME", help="only these")
    parser.add_argument("--hr", type=Path, default=ROOT / "datasets/quickstart", help="folder with train/ and valid/")
    parser.add_argument("--output", type=Path, default=Path("results/gpu_options"), metavar="DIR", help="a new folder")
    arguments = parser.parse_args(argv)
    if arguments.batch is None and arguments.device == "cpu":
        arguments.batch = 2

    from training.options import TrainOptions
    from utils.errors import UserError
    from utils.options import load

    if arguments.output.exists():
        raise UserError(f"{arguments.output}: exists; remove it or give --output another folder")
    _crop(arguments.hr / "valid", arguments.output / "valid")
    later = {name for name in names if load(OPTIONS / f"{name}.yml", TrainOptions).stages[0].init is not None}
    failed = False
    print("| options | MiB, most | iterations | seconds | bicubic or input | start | trained | |")
    print("|---|---:|---:|---:|---:|---:|---:|---|")
    for name in sorted(arguments.names, key=lambda name: (name in later, name)):
        try:
            print(_row(name, arguments), flush=True)
        except UserError as error:
            failed = True
            print(f"| {name} | | | | | | | failed: {error} |", flush=True)
    return int(failed)


def _row(name: str, arguments: argparse.Namespace) -> str:
    """One line of the table.

    Raises:
        UserError: of the check, the training or the evaluation.
    """
    from data.prepare import prepare_for
    from training.check import check
    from training.experiment import run_experiment
    from training.run_folder import RunFolder

    options, note = _options(name, arguments)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        check(options)
    memory = max(float(found.replace(",", "")) for found in re.findall(r"about ([\d,]+) MiB", said.getvalue()))
    prepare_for(options.data.train, options.generator.scale, progress=False)
    start = time.monotonic()
    run_experiment(options, None)
    seconds = time.monotonic() - start
    folders = [RunFolder(options.folder / stage.name) for stage in options.stages]
    made = " + ".join(str(folder.iterations()[-1]) for folder in folders)
    scores = " | ".join(f"{score:.2f}" for score in _scores(folders[-1].best, options, arguments))
    return f"| {name} | {memory:,.0f} | {made} | {seconds:.0f} | {scores} | {note} |"


def _options(name: str, arguments: argparse.Namespace) -> tuple[Any, str]:
    """Options of a training with the overrides that it needs here, and what was left out of it."""
    from losses.backbones import LossWeightsError
    from training.options import TrainOptions
    from utils.options import load

    path, note = OPTIONS / f"{name}.yml", ""
    shipped = load(path, TrainOptions)
    overrides = [
        f"root={arguments.output / 'runs'}",
        f"data.train.hr={arguments.hr / 'train'}",
        f"data.train.prepared={arguments.output / 'store' / name}",
        f"data.validation.0.hr={arguments.output / 'valid'}",
        f"data.validation.0.compressions=[{shipped.data.validation[0].compressions[0]}]",
        f"runtime.device={arguments.device}",
        f"runtime.minutes={arguments.minutes:g}",
    ]
    if arguments.device == "cpu":
        overrides.append("data.train.workers=1")
    for place, stage in enumerate(shipped.stages):
        if arguments.batch is not None:
            overrides.append(f"stages.{place}.batch_size={arguments.batch}")
        if stage.init is not None:
            overrides.append(f"stages.{place}.init={arguments.output / 'runs' / stage.init.relative_to('experiments')}")
        try:
            stage.recipe.check()
        except LossWeightsError:
            note = "without VGG16, ranked by PSNR"
            overrides += [f"stages.{place}.recipe.perceptual=null", f"stages.{place}.validation.rank_by=psnr_y"]
    return load(path, TrainOptions, overrides), note


def _crop(photos: Path, folder: Path) -> None:
    """Write the middle of each photograph.

    Raises:
        UserError: there are none.
    """
    from data.store import source_images
    from utils.images import read_image, write_png

    for photo in source_images([photos]):
        image = read_image(photo.path)
        top, left = ((side - SIDE) // 2 for side in image.shape[:2])
        write_png(folder / f"{photo.path.stem}.png", image[top : top + SIDE, left : left + SIDE])


def _scores(weights: Path, options: Any, arguments: argparse.Namespace) -> list[float]:
    """Mean Y-PSNR in dB of bicubic (at scale 1: the input), of the weights at the start and of those trained."""
    import torch

    from evaluation.evaluate import evaluate
    from evaluation.options import EvaluationOptions
    from training.experiment import load_init, starting_generator
    from training.run_folder import weights_of
    from utils.files import write_atomically
    from utils.options import validate

    torch.manual_seed(options.seed)
    generator, start, scale = starting_generator(options), options.folder / "start.safetensors", options.generator.scale
    load_init(generator, options.stages[0])
    write_atomically(start, weights_of(generator, options.name, options.stages[0].name, 0))
    wanted = {
        "name": options.name,
        "results": str(arguments.output / "scores"),
        "scale": scale,
        "models": [
            {"name": "bicubic", "generator": {"type": "bicubic", "scale": scale}},
            {"name": "start", "weights": str(start)},
            {"name": "trained", "weights": str(weights)},
        ],
        "datasets": [options.data.validation[0].model_dump(mode="json")],
        "metrics": ["psnr_y"],
        "save_images": False,
        "device": arguments.device,
    }
    found = evaluate(validate(wanted, EvaluationOptions, options.name))
    assert found is not None  # a single process has the results
    rows = list(found.records.values())
    return [mean(found.scores(row[name])["psnr_y"] for row in rows) for name in ("bicubic", "start", "trained")]


if __name__ == "__main__":
    from utils.cli import run

    sys.exit(run(main))
