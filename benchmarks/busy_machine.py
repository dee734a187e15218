"""Training while another process keeps one core busy: how OpenMP's threads wait decides how much is lost.

    python benchmarks/busy_machine.py [--iterations 60]

Iterations per second of a small CISRNet with the threads' default waiting and with ours (utils/cli.py), each on an idle
machine and beside one busy process, in processes of their own that alternate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WAITING = {"default": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": ""}, "ours": {"GOMP_SPINCOUNT": "3000"}}
STEP = """
import sys, time, torch
sys.path.insert(0, sys.argv[1])
from models import build_generator
network = build_generator({"type": "cisrnet", "scale": 2, "num_feat": 24, "reduction": 4, "coarse_groups": 2,
                           "coarse_blocks": 2, "fine_groups": 1, "fine_blocks": 1})
lr = torch.rand(8, 3, 32, 32)
for iteration in range(int(sys.argv[2]) + 5):
    if iteration == 5:
        started = time.perf_counter()
    network.coarse(lr).abs().mean().backward()
print(int(sys.argv[2]) / (time.perf_counter() - started))
"""


def rate(environment: dict[str, str], iterations: int, *, busy: bool) -> float:
    """Iterations per second in a fresh process."""
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        merged = {key: value for key, value in {**os.environ, **environment}.items() if value}
        command = [sys.executable, "-c", STEP, str(ROOT), str(iterations)]
        return float(subprocess.run(command, env=merged, check=True, capture_output=True, text=True).stdout)
    finally:
        if other is not None:
            other.kill()
            other.wait()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for busy in (False, True):
        rates: dict[str, list[float]] = {name: [] for name in WAITING}
        for _ in range(arguments.rounds):
            for name, environment in WAITING.items():
                rates[name].append(rate(environment, arguments.iterations, busy=busy))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        print(f"{'one busy process' if busy else 'idle machine':17}", end="")
        print("".join(f" {name} {value:6.2f}/s" for name, value in medians.items()), end="")
        print(f"   ours/default {medians['ours'] / medians['default']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
