"""Time and memory of RRDBNet's training step beside a plain implementation: `python -m benchmarks.rrdbnet`.

The plain one is the paper's figure written down; both hold the same weights and must give the same loss.
Steps (forward, Charbonnier loss, backward, Adam) take turns on one thread; `to plain` is the
median ratio within a round. Peak memory is what one step adds to a fresh process (Linux).
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from losses import PixelLoss, PixelLossOptions
from models import build_generator

SIZES: dict[str, Any] = {"type": "rrdbnet", "scale": 1, "num_feat": 32, "num_block": 8, "num_grow_ch": 16}


class PlainDenseBlock(nn.Module):
    def __init__(self, feat: int, grow: int):
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4, self.conv5 = (
            nn.Conv2d(feat + k * grow, grow if k < 4 else feat, 3, 1, 1) for k in range(5)
        )
        self.lrelu = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x1 = self.lrelu(self.conv1(x))
        x2 = self.lrelu(self.conv2(torch.cat((x, x1), 1)))
        x3 = self.lrelu(self.conv3(torch.cat((x, x1, x2), 1)))
        x4 = self.lrelu(self.conv4(torch.cat((x, x1, x2, x3), 1)))
        return self.conv5(torch.cat((x, x1, x2, x3, x4), 1)) * 0.2 + x


class PlainRRDB(nn.Module):
    def __init__(self, feat: int, grow: int):
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (PlainDenseBlock(feat, grow) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.rdb3(self.rdb2(self.rdb1(x))) * 0.2 + x


class PlainRRDBNet(nn.Module):
    """Quality enhancement (scale 1), with our names."""

    def __init__(self, feat: int, blocks: int, grow: int):
        super().__init__()
        self.conv_first = nn.Conv2d(3, feat, 3, 1, 1)
        self.body = nn.Sequential(*(PlainRRDB(feat, grow) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(feat, feat, 3, 1, 1)
        self.conv_last = nn.Conv2d(feat, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv_first(x)
        return self.conv_last(F.leaky_relu(first + self.conv_body(self.body(first)), 0.1))


def networks() -> dict[str, nn.Module]:
    """The three under test, with the same weights."""
    torch.manual_seed(0)
    made = {
        "plain": PlainRRDBNet(SIZES["num_feat"], SIZES["num_block"], SIZES["num_grow_ch"]),
        "ours": build_generator(SIZES),
        "ours, checkpointing": build_generator({**SIZES, "checkpointing": True}),
    }
    for network in made.values():
        network.load_state_dict(made["ours"].state_dict())
    return made


def step_of(network: nn.Module, batch: int, patch: int) -> Callable[[], float]:
    """One training step on a fixed batch; returns its loss."""
    generator = torch.Generator().manual_seed(1)
    lr, hr = (torch.rand(batch, 3, patch, patch, generator=generator) for _ in range(2))
    loss_of = PixelLoss(PixelLossOptions(type="charbonnier"))
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(network(lr), hr)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def peak_memory(name: str, batch: int, patch: int) -> float:
    """MiB that one step of a network adds to its process."""
    step = step_of(networks()[name], batch, patch)
    before = largest_resident_kib()
    step()
    return (largest_resident_kib() - before) / 1024


def largest_resident_kib() -> int:
    # Not getrusage: its figure starts at what the process was forked from.
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=2, help="default 2")
    parser.add_argument("--patch", type=int, default=48, help="side of the square patches, default 48")
    parser.add_argument("--rounds", type=int, default=9, help="how often each is timed (default 9)")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    size = (arguments.batch, arguments.patch)
    if arguments.memory_of:
        print(peak_memory(arguments.memory_of, *size))
        return
    steps = {name: step_of(network, *size) for name, network in networks().items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    apart = 0.0
    for turn in range(arguments.rounds + 1):
        losses = []
        for name in sorted(steps, key=lambda name: (list(steps).index(name) + turn) % len(steps)):
            start = time.perf_counter()
            losses.append(steps[name]())
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - start)
        apart = max(apart, max(losses) - min(losses))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"batch {size[0]}, {size[1]}x{size[1]}, {arguments.rounds} rounds, one thread, medians")
    print(f"{'':22}{'ms a step':>10}{'to plain':>10}{'peak MiB':>10}")
    for name, median in medians.items():
        command = [sys.executable, "-m", "benchmarks.rrdbnet", "--memory-of", name]
        command += ["--batch", str(size[0]), "--patch", str(size[1])]
        memory = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds["plain"], strict=True))
        print(f"{name:22}{median * 1e3:10.0f}{ratio:10.2f}{memory:10.0f}")
    print(f"largest difference of the losses: {apart:.0e}")


if __name__ == "__main__":
    main()
