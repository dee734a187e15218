"""What the trainer costs beside a loop written plainly, and whether one loader process keeps up with it.

    python benchmarks/trainer_overhead.py [--hr FOLDER] [--iterations 20] [--rounds 5]

Both loops train the same small CISRNet in eager float32 on the same batches, of the same loader, with the same loss
and Adam; in the end their weights must be equal, bit for bit (on a CPU). Rounds alternate; medians. Then the share of
the trainer's time that is spent waiting for batches, and the images per second of one loader process beside the
training's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.data import pairs_per_second  # noqa: E402
from benchmarks.soak import write_photos  # noqa: E402
from data.datasets import PatchDataset, training_loader  # noqa: E402
from data.prepare import prepare_for  # noqa: E402
from data.sampling import IterationSampler  # noqa: E402
from models import build_generator  # noqa: E402
from training.loop.trainer import Trainer  # noqa: E402
from training.options import TrainOptions  # noqa: E402
from training.run_folder import RunFolder  # noqa: E402
from training.runtime import Runtime  # noqa: E402
from utils.cores import usable_cores  # noqa: E402
from utils.options import validate  # noqa: E402

GENERATOR = {"type": "cisrnet", "scale": 2, "num_feat": 24, "reduction": 4, "coarse_groups": 1, "coarse_blocks": 2,
             "fine_groups": 1, "fine_blocks": 1}  # fmt: skip
BATCH, PATCH, LR, EVER = 16, 32, 1e-4, 10**9  # 16: also that of benchmarks/data.py, whose rate is used


def options_of(hr: Path, folder: Path) -> TrainOptions:
    """The experiment; runtime as it is by default on a CPU, wherever it runs."""
    train = {"hr": str(hr), "prepared": str(folder / "store"), "compressions": ["jpeg10"], "patch_size": PATCH}
    recipe = {"type": "supervised", "pixel": {"type": "l1", "value_range": 255}}
    stage = {"name": "s", "recipe": recipe, "iterations": EVER, "batch_size": BATCH, "optimizer": {"lr": LR}}
    values = {"name": "overhead", "root": str(folder), "generator": GENERATOR, "stages": [stage],
              "data": {"train": {**train, "workers": 1}},
              "runtime": {"channels_last": False, "fused": False, "tf32": False}}  # fmt: skip
    return validate(values, TrainOptions, "benchmark")


class Ours:
    """The trainer's loop, as `Trainer.run` has it between two log steps."""

    def __init__(self, options: TrainOptions, dataset: PatchDataset, runtime: Runtime):
        torch.manual_seed(0)
        self.network = build_generator(options.generator)
        self.trainer = Trainer(options, 0, self.network, dataset, RunFolder(options.folder), runtime)
        self.batches = self.trainer.batches()
        self.waited = 0.0

    def step(self) -> None:
        start = time.perf_counter()
        batch = [next(self.batches)]
        self.waited += time.perf_counter() - start
        self.trainer.iterate(batch)


class Plain:
    """The same with nothing but torch."""

    def __init__(self, options: TrainOptions, dataset: PatchDataset, runtime: Runtime):
        torch.manual_seed(0)
        self.device = runtime.device
        self.network = build_generator(options.generator).to(self.device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LR)
        cuda = self.device.type == "cuda"
        self.batches = iter(training_loader(dataset, IterationSampler(0, EVER, BATCH), pin_memory=cuda))

    def step(self) -> None:
        batch = next(self.batches)
        lr, hr = (
            batch[name].to(self.device, non_blocking=True).permute(0, 3, 1, 2).float().contiguous().div_(255)
            for name in ("lr", "hr")
        )
        self.optimizer.zero_grad()
        loss = 255 * nn.functional.l1_loss(self.network(lr), hr)
        loss.backward()
        self.optimizer.step()


def main() -> int:
    """Measure and print; 1 where the two did not end alike."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hr", type=Path, help="folder of HR images; default: two crops of scikit-image's photographs")
    parser.add_argument("--iterations", type=int, default=20, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="that the loader alone is timed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        options = options_of(arguments.hr or write_photos(folder / "photos"), folder)
        prepare_for(options.data.train, options.generator.scale)
        dataset = PatchDataset(options.data.train, options.generator.scale, options.seed)
        runtime = Runtime(options.runtime)
        ours, plain = Ours(options, dataset, runtime), Plain(options, dataset, runtime)
        loops: dict[str, Ours | Plain] = {"ours": ours, "plain": plain}
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        for turn in range(arguments.rounds + 1):
            if turn == 1:  # the first warms up
                ours.waited = 0.0
            for name in sorted(loops, reverse=turn % 2 == 1):
                start = time.perf_counter()
                for _ in range(arguments.iterations):
                    loops[name].step()
                if runtime.device.type == "cuda":
                    torch.cuda.synchronize()
                if turn:
                    seconds[name].append((time.perf_counter() - start) / arguments.iterations)
        pairs = zip(ours.network.parameters(), plain.network.parameters(), strict=True)
        same = all(torch.equal(a, b) for a, b in pairs)
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        ratios = [a / b for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]
        device = torch.cuda.get_device_name() if runtime.device.type == "cuda" else "CPU"
        print(f"{device}, {torch.get_num_threads()} threads of {usable_cores()} cores, batch {BATCH}, "
              f"patches of {PATCH}; {arguments.rounds} rounds of {arguments.iterations} iterations")  # fmt: skip
        for name, median in medians.items():
            print(f"{name:8}{1e3 * median:9.2f} ms an iteration")
        print(f"ours to plain: median of the rounds {statistics.median(ratios):.3f} "
              f"({min(ratios):.3f} to {max(ratios):.3f}); weights in the end "
              f"{'equal' if same else 'NOT equal'}")  # fmt: skip
        share = ours.waited / arguments.iterations / sum(seconds["ours"])
        print(f"waiting for batches: {100 * share:.1f} % of the trainer's time")
        del ours, plain
        loops.clear()  # and their loader processes
        sampler = IterationSampler(0, EVER, BATCH)
        rate = pairs_per_second(lambda: training_loader(dataset, sampler, pin_memory=False), arguments.seconds)
        trained = BATCH / medians["ours"]
        print(f"one loader process: {rate:,.0f} images/s, {rate / trained:.1f} × the training's {trained:,.0f}")
    return 0 if same or runtime.device.type == "cuda" else 1


if __name__ == "__main__":
    sys.exit(main())
