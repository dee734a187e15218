"""How long the papers' whole schedules take on this device."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.accept.results import Row
from benchmarks.accept.step import Context
from benchmarks.accept.throughput.workloads import GFLOPS, ROOT, STAGES, workloads
from training.options import TrainOptions
from utils.options import load

UPPER = "an upper bound: scaled from a small network, which uses the device worse than a large one"


def schedules(context: Context) -> Iterator[Row]:
    """Iterations × what one took above, in eager float32 and the fastest way; without validation.

    Where the networks above were small ones (on a CPU), their time is multiplied with the ratio of the operations,
    which is far too much: small networks spend their time on other things than operations.
    """
    rates: dict[str, dict[str, float]] = {}
    for row in context.earlier:
        title, _, name = row["case"].partition(": ")
        if row["step"] == "training_speed" and "images/s" in row["values"]:
            rates.setdefault(title, {})[name] = row["values"]["images/s"]
    made = {workload.title: workload for workload in workloads(context.shared, context.full)}
    for title, (file, position) in STAGES.items():
        paper = load(ROOT / "options" / file, TrainOptions).stages[position]
        if title not in rates:
            yield Row(title, {"iterations": paper.iterations}, verdict="not run", note="its speed was not measured")
            continue
        larger = 1.0 if context.full else 1e9 * GFLOPS[title] / made[title].operations()
        best = max(rates[title], key=rates[title].__getitem__)

        def hours(name: str, title: str = title, paper=paper, larger: float = larger) -> float:
            seconds = made[title].stage.batch_size / rates[title][name] * larger
            return paper.iterations * seconds / 3600

        yield Row(title, {
            "iterations": paper.iterations, "batch": paper.batch_size,
            "hours, eager fp32": hours("eager fp32") if "eager fp32" in rates[title] else None,
            "hours, fastest way": hours(best), "way": best,
            "scaled by": None if context.full else larger,
        }, note="" if context.full else UPPER)  # fmt: skip
