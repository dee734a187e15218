"""The non-local operator as one fused attention against the plain dense form: time, memory, exactness.

    python benchmarks/nonlocal_prior.py                  everything, some ten minutes on two cores
    python benchmarks/nonlocal_prior.py operator         one part: operator, memory, accuracy, forward or training

Both forms alternate within one process and medians are compared; memory is measured in a fresh process each
(Linux). Inputs are 48×48 crops of a photograph as JPEG 10, the guide is the network's own at its first step.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models import CISRPSI, build_generator
from models.cisr_psi import bicubic_up
from models.nonlocal_prior import NonLocalPrior, block_artefacts

SCALE, PATCH = 2, 48


class DensePrior(NonLocalPrior):
    """The operator as its formula reads, all similarities at once, in the precision of its parameters."""

    def _whole(self, z: Tensor, guide: Tensor) -> Tensor:
        mask = F.avg_pool2d(1 - block_artefacts(z, guide), 3, stride=1).flatten(2)
        if self.mask == "clamped":
            mask = mask.clamp(min=0)
        size, dtype = z.shape[-2:], next(self.parameters()).dtype
        patches = F.unfold(guide.to(dtype), 3)
        eta = self.bandwidth(patches.unsqueeze(-1)).squeeze(-1).transpose(1, 2)
        rows = patches.transpose(1, 2)
        norms = rows.square().sum(dim=-1, keepdim=True)
        distances = norms + norms.transpose(1, 2) - 2 * rows @ patches
        weights = torch.softmax(-distances / (eta.square() + 1), dim=-1) * mask.to(dtype)
        weights = weights / (weights.sum(dim=-1, keepdim=True) + 0.001)
        restored = (weights @ F.unfold(z.to(dtype), 3).transpose(1, 2)).transpose(1, 2)
        overlap = F.fold(torch.ones_like(restored), size, 3)
        return F.fold(restored, size, 3) / overlap


def main() -> None:
    parts = {
        "operator": operator,
        "memory": memory,
        "accuracy": accuracy,
        "forward": forward,
        "training": training,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}; default: all")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each form (default 5)")
    parser.add_argument("--batch", type=int, default=16, choices=range(1, 17), metavar="N", help="default 16")
    parser.add_argument("--peak", choices=["fused", "dense"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := set(args.parts) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; known: {', '.join(parts)}")
    if args.peak:
        print(peak_extra_memory(args.peak, args.batch))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.batch}×3×{PATCH}×{PATCH}")
    for part in args.parts or parts:
        parts[part](args.runs, args.batch)


def operator(runs: int, batch: int) -> None:
    z, guide = images(batch)
    with torch.inference_mode():
        compare("operator", {kind: partial(prior(kind), z, guide) for kind in ("dense", "fused")}, runs)


def memory(_: int, batch: int) -> None:
    command = [sys.executable, __file__, "--batch", str(batch), "--peak"]
    peak = {
        kind: float(subprocess.run([*command, kind], check=True, capture_output=True, text=True).stdout)
        for kind in ("dense", "fused")
    }
    for kind, mib in peak.items():
        print(f"  memory {kind}: {mib:.0f} MiB above the process before the call")
    print(f"memory: fused needs 1/{peak['dense'] / peak['fused']:.1f} of dense")


def accuracy(_: int, batch: int) -> None:
    """Largest and mean distance of both forms from the dense one in float64, on 0–255."""
    z, guide = images(batch)
    for case, shrink in {"η as initialised": 1.0, "η = 0": 0.0}.items():
        found = {}
        for kind in ("dense", "fused", "referee"):
            module = prior(kind)
            for parameter in module.bandwidth[2].parameters():
                parameter.data.mul_(shrink)
            with torch.inference_mode():
                found[kind] = module(z, guide).double()
        for kind in ("dense", "fused"):
            off = (found[kind] - found["referee"]).abs()
            print(f"accuracy, {case}: {kind} float32 to float64: max {off.max():.2e}, mean {off.mean():.2e}")


def forward(runs: int, batch: int) -> None:
    lr = images(batch)[0] / 255
    with torch.inference_mode():
        calls: dict[str, Callable[[], object]] = {
            kind: partial(network(kind).eval(), lr) for kind in ("dense", "fused")
        }
        compare("whole forward, full ×2", calls, runs)


def training(runs: int, batch: int) -> None:
    lr = images(batch)[0] / 255
    clean, hr = lr, bicubic_up(lr, SCALE)  # time does not depend on the targets
    calls: dict[str, Callable[[], object]] = {}
    for kind in ("dense", "fused"):
        model = network(kind).train()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.Adam(trained, lr=1e-4)
        calls[kind] = partial(train_batch, model, optimiser, lr, clean, hr, skip_zero=kind == "fused")
    compare("training batch (dense: as released, step 0 with backward too)", calls, runs)


def train_batch(
    model: CISRPSI,
    optimiser: torch.optim.Optimizer,
    lr: Tensor,
    clean: Tensor,
    hr: Tensor,
    *,
    skip_zero: bool,
) -> None:
    """Three unfolding steps with weights 0, ½, 1 and an optimiser step at each, as published."""
    x_hat = bicubic_up(lr, SCALE)
    for weight in (0.0, 0.5, 1.0):
        if skip_zero and weight == 0:
            with torch.no_grad():
                x_hat = model.step(lr, x_hat)[1]
            continue
        y_hat, x_hat = model.step(lr, x_hat.detach())
        loss = weight * (0.9 * F.l1_loss(y_hat, clean) + 0.1 * F.l1_loss(x_hat, hr))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def compare(name: str, calls: dict[str, Callable[[], object]], runs: int) -> None:
    """Print median seconds of `dense` and `fused`, run in turn, and their ratio."""
    seconds: dict[str, list[float]] = {kind: [] for kind in calls}
    for run in range(runs + 1):
        for kind, call in calls.items():
            start = time.perf_counter()
            call()
            if run:  # the first one warms up
                seconds[kind].append(time.perf_counter() - start)
    median = {kind: statistics.median(times) for kind, times in seconds.items()}
    for kind, times in seconds.items():
        print(f"  {name}, {kind}: {median[kind]:.3f} s (from {min(times):.3f} to {max(times):.3f}, {runs} runs)")
    ratio, best = median["dense"] / median["fused"], min(seconds["dense"]) / min(seconds["fused"])
    print(f"{name}: {ratio:.2f} times faster by the medians, {best:.2f} by the fastest runs", flush=True)


def peak_extra_memory(kind: str, batch: int) -> float:
    """MiB by which one call raises this process's peak above its size before the call."""
    z, guide = images(batch)
    module = prior(kind)
    with torch.inference_mode():
        module(z[:1, :, :8, :8], guide[:1, :, :8, :8])  # libraries start here, not in the figure
        before = resident("VmRSS")
        module(z, guide)
    return max(0.0, resident("VmHWM") - before)


def resident(field: str) -> float:
    """A memory field of this process in MiB: `VmRSS` now, `VmHWM` at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def prior(kind: str) -> NonLocalPrior:
    torch.manual_seed(0)
    module = NonLocalPrior() if kind == "fused" else DensePrior()
    return module.double() if kind == "referee" else module


def network(kind: str) -> CISRPSI:
    torch.manual_seed(0)
    model = build_generator({"type": "cisr_psi", "scale": SCALE})
    assert isinstance(model, CISRPSI)
    if kind == "dense":
        for module in (model.arm, model.rem):
            dense = DensePrior()
            dense.load_state_dict(module.prior.state_dict())
            module.prior = dense.requires_grad_(False)
    return model


def images(batch: int) -> tuple[Tensor, Tensor]:
    """Compressed crops and the guide of the first unfolding step, `batch×3×48×48` on 0–255."""
    buffer = io.BytesIO()
    Image.fromarray(data.astronaut()).save(buffer, "JPEG", quality=10)
    with Image.open(buffer) as image:
        photo = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    corners = [(y, x) for y in range(0, 400, 100) for x in range(0, 400, 100)]
    z = torch.stack([photo[:, y : y + PATCH, x : x + PATCH] for y, x in corners[:batch]])
    return z, F.interpolate(bicubic_up(z, SCALE), size=(PATCH, PATCH), mode="bicubic")


if __name__ == "__main__":
    main()
