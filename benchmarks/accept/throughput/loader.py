"""How long training waits for its data."""

from __future__ import annotations

import time
from collections.abc import Iterator

import skimage.data

from benchmarks.accept.machine import fresh_runtime, synchronize
from benchmarks.accept.results import Row, no_time_left
from benchmarks.accept.step import Context
from benchmarks.accept.throughput.training_speed import WAYS
from benchmarks.accept.throughput.workloads import eager, workloads
from data.datasets import PatchDataset
from data.prepare import prepare_for
from training.experiment import starting_generator
from training.loop.trainer import Trainer
from training.run_folder import RunFolder
from utils.images import write_png


def loader_wait(context: Context) -> Iterator[Row]:
    """Share of the trainer's time spent waiting for patches of photographs, JPEG 10, with the loader as it is."""
    photos = context.folder / "photos"
    for name in ("astronaut", "coffee", "chelsea"):
        write_png(photos / f"{name}.png", getattr(skimage.data, name)())
    chosen = [
        workload
        for workload in workloads(context.shared, context.full)
        if workload.title in ("CISRNet ×2, coarse", "RRDBNet")
    ]
    for number, workload in enumerate(chosen):
        if context.left() < number * context.seconds / 3:
            yield no_time_left(workload.title)
            return
        train = workload.options.data.train.model_copy(
            update={"hr": photos, "prepared": context.folder / "store", "compressions": ("jpeg10",)}
        )
        runtime_options = eager(context.device, **(WAYS["bf16, channels_last"] if context.cuda else {}))
        data = workload.options.data.model_copy(update={"train": train, "validation": ()})
        options = workload.options.model_copy(
            update={"data": data, "runtime": runtime_options, "root": context.folder, "stages": (workload.stage,)}
        )
        prepare_for(train, options.generator.scale, jobs=1, progress=False)
        dataset = PatchDataset(train, options.generator.scale, 0)
        runtime = fresh_runtime(runtime_options)
        trainer = Trainer(options, 0, starting_generator(options), dataset, RunFolder(context.folder / "run"), runtime)
        batches, waited = trainer.batches(), 0.0
        trainer.iterate([next(batches)])
        synchronize(context.device)
        start, iterations = time.perf_counter(), 0
        while iterations < 2 or time.perf_counter() - start < context.left() / (2 * (len(chosen) - number)):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            trainer.iterate([batch])
            iterations += 1
            if iterations % 10 == 0:
                synchronize(context.device)
        synchronize(context.device)
        took = time.perf_counter() - start
        batches.close()
        yield Row(workload.title, {
            "iterations": iterations, "images/s": iterations * workload.stage.batch_size / took,
            "waiting, %": 100 * waited / took,
        })  # fmt: skip
