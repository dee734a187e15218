"""Released weights, released inputs, released outputs: does the device compute what the released programs did?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.accept.machine import computing_in, precisions
from benchmarks.accept.parity.difference import FP32, RELEASED_MASK, Outputs, apart, in_all_precisions
from benchmarks.accept.results import Row, judged
from benchmarks.accept.step import Context
from models import CISRPSI, CISRNet, Discriminator, DiscriminatorOptions, Generator, build_generator, load_weights

CISRNET = {"num_feat": 16, "coarse_groups": 1, "coarse_blocks": 2, "fine_groups": 1, "fine_blocks": 2}
CISR_PSI = {"num_feat": 16, "arm_groups": 1, "rem_groups": 1, "blocks": 2, "mask": "released"}
KINDS: dict[str, Any] = {
    "coarse_block_kind": "sequential",
    "fine_block_kind": "parallel",
    "coarse_blocks": 1,
    "fine_blocks": 1,
}


def golden_outputs(context: Context) -> Iterator[Row]:
    """Released weights, released inputs, released outputs; on 0–255."""
    for name, network, forward, golden, tolerance in golden_cases(context.golden):
        network = network.to(context.device).eval()
        yield in_all_precisions(context, name, network, forward, golden, tolerance)
    yield _discriminator(context)


def golden_cases(folder: Path) -> Iterator[tuple[str, Generator, Callable, Outputs, float]]:
    """Title, network with its weights, its forward pass from the recorded input, recorded outputs, tolerance."""
    for scale in (2, 3, 4):
        path = folder / f"cisrnet_x{scale}_feats16"
        network = build_generator({"type": "cisrnet", "scale": scale, **CISRNET, "weights": f"{path}.pt"})
        yield f"CISRNet ×{scale}", network, *_cisrnet(path), FP32
    path = folder / "cisrnet_x2_feats16_sequential_coarse_parallel_fine"
    sizes = {"type": "cisrnet", "scale": 2, **CISRNET, **KINDS, "weights": f"{path}.pt"}
    yield "CISRNet ×2, blocks the other way", build_generator(sizes), *_cisrnet(path), FP32
    for scale, suffix in ((2, ""), (3, ""), (4, ""), (2, "_split")):
        path = folder / f"cisr_psi_x{scale}_feats16_groups1_blocks2{suffix}"
        network = build_generator({"type": "cisr_psi", "scale": scale, **CISR_PSI, "weights": f"{path}.pth"})
        title = f"CISR-PSI ×{scale}" + (", in windows" if suffix else "")
        yield title, network, *_cisr_psi(path), RELEASED_MASK
    for title, stem, suffix in (
        ("RRDBNet ×1", "rrdbnet_qe_gan_feats16_blocks2_grow8_ddp", "pt"),
        ("RRDBNet ×1, folded", "rrdbnet_sr_x1_feats16_blocks2_grow8", "pth"),
        ("RRDBNet ×2", "rrdbnet_sr_x2_feats16_blocks2_grow8", "pth"),
        ("RRDBNet ×4", "rrdbnet_sr_x4_feats16_blocks2_grow8", "pth"),
    ):
        golden = _load(folder / stem)
        network = build_generator({"type": "rrdbnet", "weights": folder / f"{stem}.{suffix}"})
        given, wanted = golden["input"], {"sr": golden["output"] * 255}
        yield title, network, lambda net, device, z=given: {"sr": net(z.to(device)) * 255}, wanted, FP32


def _load(path: Path) -> Outputs:
    with np.load(f"{path}.npz") as golden:
        return {name: torch.from_numpy(golden[name]) for name in golden}


def _cisrnet(path: Path) -> tuple[Callable, Outputs]:
    golden = _load(path)

    def forward(network: CISRNet, device: torch.device) -> Outputs:
        coarse, fine = network.coarse_and_fine(golden["input"].to(device) / 255)
        return {"coarse": coarse * 255, "fine": fine * 255}

    return forward, {name: golden[name] for name in ("coarse", "fine")}


def _cisr_psi(path: Path) -> tuple[Callable, Outputs]:
    golden = _load(path)

    def forward(network: CISRPSI, device: torch.device) -> Outputs:
        steps = network.unfold(golden["input"].to(device) / 255)
        return {
            f"{name}_{step}": image * 255
            for step, images in enumerate(steps)
            for name, image in zip(("deblock", "sr"), images)
        }

    # Beyond 255 the released mask has let a pixel explode: it is compared relative to its size, as 255 is.
    return forward, {name: value for name, value in golden.items() if name.startswith(("deblock_", "sr_"))}


def _discriminator(context: Context) -> Row:
    path = context.golden / "discriminator128_feats8"
    golden = _load(path)
    values = {}
    for precision in precisions(context.device):
        network = Discriminator(DiscriminatorOptions(num_feat=8))
        load_weights(network, path.with_suffix(".pth"))
        network = network.to(context.device).train()
        with computing_in(precision, context.device), torch.inference_mode():
            judged_patches = network(golden["input"].to(context.device)).float().cpu()
        values[precision] = apart(judged_patches, golden["output_train_mode"])
    return judged("discriminator (its logits)", values, values["fp32"] <= 1e-4, "fp32 ≤ 0.0001")
