"""Training images per second and peak memory of the three generators, by what `runtime` can switch on.

    python benchmarks/training.py [--full] [--rounds 5] [--generators cisrnet] [--ways eager compile]

A step is forward, L1 loss, backward and Adam, on a fixed batch: eager float32, then each of channels_last, autocast
bf16 and compile by itself, and the two of them that help on a CPU together. Every combination has a process of its
own, which all stay alive and take turns, one step at a time; medians, and the median over the rounds of the ratio to
eager. Memory: what is allocated on a CUDA device at most; on the CPU the largest resident size of the process (Linux),
that before the network is made subtracted. `estimated` is what `train.py --check` says (training/memory_estimate.py).
Sizes are small; --full takes the papers' networks, patches and batches.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from models import build_generator  # noqa: E402
from training.memory_estimate import stage_memory  # noqa: E402
from training.options import TrainOptions  # noqa: E402
from utils.cli import one_line  # noqa: E402
from utils.options import validate  # noqa: E402

CISRNET = {"num_feat": 24, "reduction": 4, "coarse_groups": 2, "coarse_blocks": 2, "fine_groups": 1, "fine_blocks": 1}
CISR_PSI = {"num_feat": 24, "reduction": 8, "arm_groups": 1, "rem_groups": 1, "blocks": 2}
RRDBNET = {"num_feat": 32, "num_block": 2, "num_grow_ch": 16}
# Generator -> scale, (options, batch, patch) small, and those of the paper.
SIZES = {
    "cisrnet": (2, (CISRNET, 4, 32), ({}, 16, 48)),
    "cisr_psi": (2, (CISR_PSI, 4, 24), ({}, 16, 48)),
    "rrdbnet": (1, (RRDBNET, 4, 32), ({"num_feat": 32, "num_block": 8, "num_grow_ch": 16}, 32, 128)),
}
WAYS = ("eager", "channels_last", "bf16", "compile", "channels_last+compile")


def options_of(name: str, full: bool) -> TrainOptions:
    """One supervised stage of the size asked for; its data are never looked at."""
    scale, *sizes = SIZES[name]
    network, batch, patch = sizes[full]
    recipe = {"type": "supervised", "pixel": {"type": "l1"}}
    stage = {"name": "s", "recipe": recipe, "iterations": 1, "batch_size": batch, "optimizer": {"lr": 1e-4}}
    values = {
        "name": "benchmark",
        "generator": {"type": name, "scale": scale, **network},
        "data": {"train": {"hr": ".", "compressions": ["jpeg10"], "patch_size": patch}},
        "stages": [stage],
    }
    return validate(values, TrainOptions, "benchmark")


def worker(name: str, way: str, full: bool) -> None:
    """Train a step for every line on stdin; answer with its seconds and the peak memory so far, as JSON."""
    options = options_of(name, full)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _step_of_nothing(device)
    before = _peak(device)
    layout = torch.channels_last if "channels_last" in way else torch.contiguous_format
    torch.manual_seed(0)
    network = build_generator(options.generator).train().to(device).to(memory_format=layout)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    step = torch.compile(network) if "compile" in way else network
    side, batch = options.data.train.patch_size, options.stages[0].batch_size
    lr = torch.rand(batch, 3, side, side, device=device).to(memory_format=layout)
    hr = torch.rand(batch, 3, *(side * options.generator.scale,) * 2, device=device).to(memory_format=layout)
    for _ in sys.stdin:
        start = time.perf_counter()
        try:
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=way == "bf16"):
                sr = step(lr)
            torch.nn.functional.l1_loss(sr.float(), hr).backward()
            optimizer.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
        except Exception as error:  # a compiler that is not there, memory that is not
            print(json.dumps({"error": f"{type(error).__name__}: {one_line(error)[:120]}"}), flush=True)
            return
        peak = _peak(device) - (0 if device.type == "cuda" else before)
        print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak}), flush=True)


def _step_of_nothing(device: torch.device) -> None:
    """Load what a first step loads, the optimisers' imports and the convolutions' library, which is no network's."""
    layer = torch.nn.Conv2d(3, 3, 3).to(device)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.zeros(1, 3, 8, 8, device=device)).sum().backward()
    optimizer.step()


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not getrusage: its figure starts at what the process was forked from.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def ask(process: subprocess.Popen) -> dict:
    """Have a worker take a step."""
    assert process.stdin is not None and process.stdout is not None
    try:
        print(file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())
    except (OSError, ValueError):
        return {"error": f"the process ended with {process.wait()}"}


def measure(name: str, ways: list[str], full: bool, rounds: int, warm_up: int) -> dict[str, list[dict] | str]:
    """Steps of each way, taken in turns; a text where a way failed."""
    command = [sys.executable, __file__, *(["--full"] if full else []), "--worker", name]
    processes = {
        way: subprocess.Popen([*command, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True)
        for way in ways
    }  # fmt: skip
    steps: dict[str, list[dict] | str] = {way: [] for way in ways}
    for turn in range(warm_up + rounds):
        for place in range(len(ways)):
            way = ways[(place + turn) % len(ways)]
            taken = steps[way]
            if isinstance(taken, str):
                continue
            answer = ask(processes[way])
            if "error" in answer:
                steps[way] = answer["error"]
            elif turn >= warm_up:
                taken.append(answer)
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    return steps


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="the papers' sizes: for a GPU")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--generators", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=WAYS)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, way = arguments.worker
        worker(name, way, arguments.full)
        return 0
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    print(f"{device}, torch {torch.__version__}, {arguments.rounds} rounds\n")
    print("| generator | batch | patch | way | images/s | to eager | peak MiB | to eager | estimated MiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    ways = ["eager", *(way for way in arguments.ways if way != "eager")]
    for name in arguments.generators:
        options = options_of(name, arguments.full)
        batch, patch = options.stages[0].batch_size, options.data.train.patch_size
        estimate = stage_memory(options, 0).total
        steps = measure(name, ways, arguments.full, arguments.rounds, warm_up=2)
        for way, taken in steps.items():
            start = f"| {name} | {batch} | {patch} | {way} |"
            if isinstance(taken, str):
                print(f"{start} failed: {taken} | | | | |", flush=True)
                continue
            rate = batch / statistics.median(step["seconds"] for step in taken)
            peak, eager = taken[-1]["peak"], steps["eager"]
            faster = larger = "–"
            if not isinstance(eager, str):
                faster = f"{statistics.median(e['seconds'] / t['seconds'] for e, t in zip(eager, taken)):.2f}"
                larger = f"{peak / eager[-1]['peak']:.2f}"
            print(
                f"{start} {rate:.1f} | {faster} | {peak / 2**20:,.0f} | {larger} | {estimate / 2**20:,.0f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
