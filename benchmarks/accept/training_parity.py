"""Does training on the device do what it does on the CPU, in every precision, resumed, and when it fails?"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks import soak
from benchmarks.accept.golden_runs import RUNS, golden_run
from benchmarks.accept.machine import free_memory, fresh_runtime, precisions, tf32
from benchmarks.accept.results import Row, judged, no_time
from benchmarks.accept.step import Context
from data.datasets import PatchDataset
from data.prepare import prepare_for
from training.experiment import starting_generator
from training.loop.trainer import Trainer
from training.options import TrainOptions
from training.recipes import RECIPES
from training.run_folder import RunFolder
from utils.errors import UserError
from utils.options import load

SIDE_BY_SIDE = 24
"""Iterations of the trainings that are compared; of the last third the mean losses must agree."""
AGREE = 0.02
LIMITS = {torch.float32: (1e-3, 1e-3), torch.float64: (1e-9, 1e-9)}
"""Of relative losses, and of weights, which move by some 1e-3. In float32 Adam's first step goes by signs: a gradient
that rounds to the other side of zero moves a weight by twice the learning rate."""


def golden_trainings(context: Context) -> Iterator[Row]:
    """The released programs' trainings of tests/golden/training, without TF32."""
    pace = 0.0
    for dtype, name in [(dtype, name) for dtype in LIMITS for name in RUNS]:
        case = f"{name}, {str(dtype).removeprefix('torch.')}"
        if pace * RUNS[name] > context.left():
            yield Row(case, verdict="not run", note="no time was left: it takes minutes here")
            continue
        start = time.monotonic()
        with tf32(False):
            found = golden_run(name, context.golden, context.folder, context.device, dtype)
        pace = max(pace if pace else 0.0, (time.monotonic() - start) / RUNS[name] if RUNS[name] > 10 else 0.0)
        losses, weights = LIMITS[dtype]
        passed = found.losses <= losses and max(found.first, found.last) <= weights
        values = {"losses": found.losses, "weights, first iteration": found.first, "weights, last": found.last}
        yield judged(case, values, passed, f"losses ≤ {losses:g}, weights ≤ {weights:g}")
        free_memory(context.device)


def precision_of_training(context: Context) -> Iterator[Row]:
    """Mean loss of the last third of a short training against eager float32 on the same device."""
    variants = {
        "TF32": {"tf32": "true"},
        "channels_last": {"channels_last": "true"},
        "bf16": {"precision": "bf16"},
        "fp16 with a scaler": {"precision": "fp16"},
    }
    possible = precisions(context.device)
    if not context.cuda:
        del variants["TF32"], variants["fp16 with a scaler"]
    elif "bf16" not in possible:
        del variants["bf16"]
    for recipe, (_, recipes) in soak.EXPERIMENTS.items():
        for stage in range(len(recipes)):
            title = f"{recipe}, stage {stage}" if len(recipes) > 1 else recipe
            if context.left() < 0:
                yield Row(title, verdict="not run", note="no time was left")
                continue
            reference = _mean_loss(context, recipe, stage, {})
            for variant, runtime in variants.items():
                yield _close(f"{title}: {variant}", _mean_loss(context, recipe, stage, runtime), reference)


def compiled_training(context: Context) -> Iterator[Row]:
    """The same with `runtime.compile`: alone, and on CUDA with bf16 and channels_last."""
    everything = {"compile": "true", "precision": "bf16", "channels_last": "true"}
    variants = {"compile": {"compile": "true"}, **({"all together": everything} if context.cuda else {})}
    for recipe in soak.EXPERIMENTS if context.cuda else ["supervised"]:
        # Compiling takes longer than it takes to import torch.
        if context.left() < 2 * context.starting:
            yield Row(recipe, verdict="not run", note="no time was left")
            continue
        reference = _mean_loss(context, recipe, 0, {})
        for variant, runtime in variants.items():
            start = time.monotonic()
            row = _close(f"{recipe}: {variant}", _mean_loss(context, recipe, 0, runtime), reference)
            row.values["seconds, compiling included"] = time.monotonic() - start
            yield row
        torch.compiler.reset()


def _close(case: str, found: float, reference: float) -> Row:
    apart = abs(found - reference) / abs(reference)
    values = {"loss": found, "loss in float32": reference, "difference": apart}
    return judged(case, values, apart <= AGREE, f"≤ {100 * AGREE:g} %")


def _options(context: Context, recipe: str, name: str, *overrides: str, iterations: int = 40) -> TrainOptions:
    folder = context.folder / name
    photos = context.folder / "photos"
    if not photos.is_dir():
        soak.write_photos(photos)
    path = soak.experiment(recipe, folder, photos, iterations, ema=None)
    where = [f"runtime.device={context.device.type}", "data.train.workers=0"]
    return load(path, TrainOptions, [*where, *overrides])


def _trainer(options: TrainOptions, stage: int = 0) -> Trainer:
    """A stage from random weights, as `run_experiment` makes it."""
    runtime = fresh_runtime(options.runtime)
    recipe = RECIPES[options.stages[stage].recipe.type]
    prepare_for(options.data.train, options.generator.scale, jobs=1, progress=False)
    torch.manual_seed(options.seed)
    dataset = PatchDataset(options.data.train, options.generator.scale, options.seed, clean_lr=recipe.needs_clean_lr)
    folder = RunFolder(options.folder / options.stages[stage].name)
    folder.make()
    return Trainer(options, stage, starting_generator(options), dataset, folder, runtime)


def _mean_loss(context: Context, recipe: str, stage: int, runtime: dict[str, str]) -> float:
    plain = {"tf32": "false", "channels_last": "false"}
    overrides = [f"runtime.{key}={value}" for key, value in {**plain, **runtime}.items()]
    trainer = _trainer(_options(context, recipe, "precision", *overrides), stage)
    batches, losses = trainer.batches(), []
    trainer.recipe.set_iteration(0)
    for _ in range(SIDE_BY_SIDE):
        losses.append(trainer.recipe.iteration([next(batches)])["loss"].detach())
    batches.close()
    return float(torch.stack(losses[-SIDE_BY_SIDE // 3 :]).float().mean())


def killed_and_resumed(context: Context) -> Iterator[Row]:
    """`train.py` killed by SIGKILL and resumed, against one that was never stopped: the same bytes."""
    if not context.room_for_processes(4 if context.cuda else 2):
        yield no_time()
        return
    photos = soak.write_photos(context.folder / "photos")
    where = [f"runtime.device={context.device.type}", "runtime.deterministic=true", "data.train.workers=0"]
    straight, killed = (
        soak.experiment("supervised", context.folder / name, photos, 30) for name in ("straight", "killed")
    )
    # On the CPU processes are forked from one that has imported everything; CUDA does not live through a fork.
    (soak.finish if context.cuda else _trained)(straight, *where)
    folder = RunFolder(killed.parent / "runs" / "supervised" / "stage0")
    met = _kill_at(3, folder, killed, *where, forked=not context.cuda)
    at = folder.iterations()
    if context.cuda:
        soak.finish(killed, "--resume", "auto", *where)
    else:
        soak.train(killed, "auto", *where)
    found = soak.differences(straight, killed)
    values = {"killed after iteration": at[-1] if at else None, "tensors and files that differ": len(found)}
    yield judged("supervised", values, met and not found, "killed on its way, nothing differs")


def _trained(options: Path, *overrides: str) -> None:
    soak.train(options, None, *overrides)


def _kill_at(iteration: int, folder: RunFolder, options: Path, *overrides: str, forked: bool) -> bool:
    """Start the training and kill it once it has a checkpoint of `iteration`; whether it was still running then."""
    running: Callable[[], bool]
    kill: Callable[[], None]
    end: Callable[[], object]
    if forked:
        child = soak.fork(options, "auto", *overrides)
        running, kill, end = child.is_alive, child.kill, child.join
    else:
        program = soak.start(options, "--resume", "auto", *overrides)
        running, kill, end = (lambda: program.poll() is None), program.kill, program.communicate
    while running() and not [number for number in folder.iterations() if number >= iteration]:
        time.sleep(0.02)
    met = running()
    kill()
    end()
    return met


def deterministic(context: Context) -> Iterator[Row]:
    """Two trainings with `runtime.deterministic: true`: the same bytes."""
    for recipe in soak.EXPERIMENTS if context.cuda else ["supervised"]:
        if context.left() < 0:
            yield Row(recipe, verdict="not run", note="no time was left")
            continue
        ends = []
        for name in ("one", "other"):
            trainer = _trainer(_options(context, recipe, name, "runtime.deterministic=true"))
            batches = trainer.batches()
            for _ in range(10):
                trainer.iterate([next(batches)])
            batches.close()
            ends.append({key: tensor.cpu().clone() for key, tensor in trainer.generator.state_dict().items()})
        torch.use_deterministic_algorithms(False)
        differing = sum(not torch.equal(ends[0][key], ends[1][key]) for key in ends[0])
        values = {"tensors": len(ends[0]), "tensors that differ": differing}
        yield judged(recipe, values, differing == 0, "none differs")


def faults(context: Context) -> Iterator[Row]:
    """What a user meets when the loss is not finite, or memory is not enough: one line that helps."""
    spoilt = "stages.0.optimizer={type: sgd, lr: 1e30}"
    said = _fault(_trainer(_options(context, "supervised", "nan", spoilt, "stages.0.clip_grad_norm=null")))
    yield judged("a loss that is not finite", {"said": said[:220]}, "not finite at iteration" in said, "stops, says so")
    options = _options(
        context, "supervised", "memory", "stages.0.batch_size=256", "data.train.patch_size=40", iterations=2
    )
    trainer = _trainer(options)
    with _little_memory(context.device):
        said = _fault(trainer)
    free_memory(context.device)
    helps = "out of memory; raise accumulate" in said
    yield judged("too little memory", {"said": said[:220]}, helps, "says what to lower")


def _fault(trainer: Trainer) -> str:
    try:
        trainer.run()
    except UserError as error:
        return str(error)
    return "nothing: it ran to its end"


@contextmanager
def _little_memory(device: torch.device) -> Iterator[None]:
    """Memory capped a little above what is in use now."""
    more = 64 << 20
    if device.type == "cuda":
        free_memory(device)
        share = (torch.cuda.memory_reserved(device) + more) / torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(share, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    used = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 3 * more, before[1]))  # addresses: stacks and arenas among them
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
