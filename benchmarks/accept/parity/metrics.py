"""Metrics: this machine against recorded values; LPIPS, which runs on the device, against the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import torch

from benchmarks.accept.machine import tf32
from benchmarks.accept.results import Row, judged, not_applicable
from benchmarks.accept.step import Context
from metrics.lpips import Lpips
from metrics.psnr_ssim import psnr_rgb, psnr_y, ssim_y


def metrics(context: Context) -> Iterator[Row]:
    """PSNR and SSIM of this machine against recorded ones; LPIPS on the device against the CPU."""
    with np.load(context.golden / "metrics.npz") as golden:
        for pair in range(3):
            a, b, border = golden[f"a{pair}"], golden[f"b{pair}"], int(golden[f"border{pair}"])
            apart = {
                "PSNR of Y, dB": abs(psnr_y(a, b, border) - float(golden[f"psnr_y{pair}"])),
                "SSIM of Y": abs(ssim_y(a, b, border) - float(golden[f"ssim_y_matlab{pair}"])),
                "PSNR of RGB, dB": abs(psnr_rgb(a, b) - float(golden[f"psnr_rgb{pair}"])),
            }
            yield judged(f"recorded pair {pair}", apart, max(apart.values()) <= 1e-4, "≤ 0.0001")
        a, b = golden["a0"], golden["b0"]
    if find_spec("lpips") is None:
        yield not_applicable("LPIPS", "the package lpips is not installed")
        return
    from torchvision.models import alexnet

    torch.manual_seed(0)
    file = context.folder / "alexnet.pth"
    torch.save(alexnet().features.state_dict(prefix="features."), file)
    with tf32(False):
        found, wanted = (Lpips(weights=file, device=device)(a, b) for device in (context.device, "cpu"))
    off = abs(found - wanted)
    yield judged("LPIPS, random AlexNet", {"LPIPS": off}, off <= 1e-5, "≤ 0.00001")
