"""Is what the device computes what the CPU and the released programs compute?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from torch import Tensor, nn

from benchmarks.accept.machine import computing_in, precisions, tf32
from benchmarks.accept.results import Row, judged, not_applicable
from benchmarks.accept.step import Context
from data.codecs import compress
from inference.restorer import Restorer
from inference.shipped_weights import cards
from metrics.lpips import Lpips
from metrics.psnr_ssim import psnr_rgb, psnr_y, ssim_y
from models import CISRPSI, CISRNet, Discriminator, DiscriminatorOptions, build_generator, load_weights, options_in_file
from models.nonlocal_prior import NonLocalPrior

FP32 = 1e-3
"""Grey levels of 255 that float32 without TF32 may be away."""
RELEASED_MASK = 1e-2
"""The same for CISR-PSI's released mask, whose denominators pass through zero: some pixels are ill-conditioned."""
SMALL: dict[str, dict[str, Any]] = {
    "cisrnet": {"num_feat": 16, "coarse_groups": 1, "coarse_blocks": 2, "fine_groups": 1, "fine_blocks": 2},
    "cisr_psi": {"num_feat": 16, "arm_groups": 1, "rem_groups": 1, "blocks": 2, "mask": "released"},
    "vdsr": {"num_feat": 16, "layers": 6},
    "rcan": {"num_feat": 16, "groups": 1, "blocks": 2},
    "rdn": {"num_feat": 16, "num_grow_ch": 16, "blocks": 2, "layers": 2},
}
KINDS: dict[str, Any] = {
    "coarse_block_kind": "sequential",
    "fine_block_kind": "parallel",
    "coarse_blocks": 1,
    "fine_blocks": 1,
}

Outputs = dict[str, Tensor]


def golden_outputs(context: Context) -> Iterator[Row]:
    """Released weights, released inputs, released outputs; on 0–255."""
    for name, network, forward, golden, tolerance in _golden_cases(context.golden):
        network = network.to(context.device).eval()
        yield _in_all_precisions(context, name, network, forward, golden, tolerance)
    yield _discriminator(context)


def _golden_cases(folder: Path) -> Iterator[tuple[str, nn.Module, Callable, Outputs, float]]:
    for scale in (2, 3, 4):
        path = folder / f"cisrnet_x{scale}_feats16"
        network = build_generator({"type": "cisrnet", "scale": scale, **SMALL["cisrnet"], "weights": f"{path}.pt"})
        yield f"CISRNet ×{scale}", network, *_cisrnet(path), FP32
    path = folder / "cisrnet_x2_feats16_sequential_coarse_parallel_fine"
    sizes = {"type": "cisrnet", "scale": 2, **SMALL["cisrnet"], **KINDS, "weights": f"{path}.pt"}
    yield "CISRNet ×2, blocks the other way", build_generator(sizes), *_cisrnet(path), FP32
    for scale, suffix in ((2, ""), (3, ""), (4, ""), (2, "_split")):
        path = folder / f"cisr_psi_x{scale}_feats16_groups1_blocks2{suffix}"
        network = build_generator({"type": "cisr_psi", "scale": scale, **SMALL["cisr_psi"], "weights": f"{path}.pth"})
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


def _in_all_precisions(
    context: Context, case: str, network: nn.Module, forward: Callable, wanted: Outputs, tolerance: float
) -> Row:
    values: dict[str, float | None] = dict.fromkeys(("fp32", "TF32", "bf16", "fp16"))
    for precision in precisions(context.device):
        with computing_in(precision, context.device), torch.inference_mode():
            found = {name: value.float().cpu() for name, value in forward(network, context.device).items()}
        values[precision] = max(_apart(found[name], wanted[name]) for name in wanted)
    fp32 = values["fp32"]
    return judged(case, values, fp32 is not None and fp32 <= tolerance, f"fp32 ≤ {tolerance:g}")


def _apart(found: Tensor, wanted: Tensor) -> float:
    """Largest difference; of values beyond 255 in proportion. Not finite: infinite."""
    apart = (found - wanted).abs() / (wanted.abs() / 255).clamp(min=1)
    return float(apart.max()) if apart.isfinite().all() else float("inf")


def _discriminator(context: Context) -> Row:
    path = context.golden / "discriminator128_feats8"
    golden = _load(path)
    values: dict[str, float | None] = dict.fromkeys(("fp32", "TF32", "bf16", "fp16"))
    for precision in precisions(context.device):
        network = Discriminator(DiscriminatorOptions(num_feat=8))
        load_weights(network, path.with_suffix(".pth"))
        network = network.to(context.device).train()
        with computing_in(precision, context.device), torch.inference_mode():
            judged_patches = network(golden["input"].to(context.device)).float().cpu()
        values[precision] = _apart(judged_patches, golden["output_train_mode"])
    fp32 = values["fp32"]
    return judged("discriminator (its logits)", values, fp32 is not None and fp32 <= 1e-4, "fp32 ≤ 0.0001")


def networks_against_cpu(context: Context) -> Iterator[Row]:
    """The networks without released outputs, and the weights that ship, against the CPU."""
    photo = _unit(skimage.data.astronaut()[60:124, 180:260])
    torch.manual_seed(0)
    cases = [
        (f"{kind.upper()} ×2, random", build_generator({"type": kind, "scale": 2, **SMALL[kind]}))
        for kind in ("vdsr", "rcan", "rdn")
    ]
    cases += [(card.name, build_generator(options_in_file(card.path))) for card in cards()]
    for name, network in cases:
        network = network.eval()

        def forward(net: nn.Module, device: torch.device) -> Outputs:
            return {"sr": net(photo.to(device)) * 255}

        with torch.inference_mode():
            wanted = forward(network, torch.device("cpu"))
        yield _in_all_precisions(context, name, network.to(context.device), forward, wanted, FP32)


def _unit(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255


def nonlocal_operator(context: Context) -> Iterator[Row]:
    """Output on 0–255 and gradient (relative to its norm) of the operator, both masks, whole and in windows."""
    for mask in ("clamped", "released"):
        for height, width in ((48, 48), (90, 84)):
            photo = skimage.data.astronaut()[100 : 100 + height, 180 : 180 + width]
            z, guide = _unit(compress(photo, "jpeg10")) * 255, _unit(photo) * 255
            results = {}
            for device in (torch.device("cpu"), context.device):
                torch.manual_seed(0)
                operator = NonLocalPrior(mask=mask).to(device)
                with tf32(False):
                    restored = operator(z.to(device), guide.to(device))
                    restored.square().mean().backward()
                gradient = torch.cat([p.grad.flatten() for p in operator.parameters() if p.grad is not None]).cpu()
                results[device] = restored.detach().cpu(), gradient
            (output, gradient), (wanted, reference) = results[context.device], results[torch.device("cpu")]
            apart = _apart(output, wanted)
            slope = float((gradient - reference).norm() / reference.norm().clamp(min=1e-12))
            allowed = FP32 if mask == "clamped" else RELEASED_MASK
            yield judged(
                f"{mask}, {height}×{width}", {"output": apart, "gradient": slope},
                apart <= allowed and slope <= 1e-2, f"output ≤ {allowed:g}, gradient ≤ 0.01",
            )  # fmt: skip


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


def tiled_restore(context: Context) -> Iterator[Row]:
    """A photograph through shipped weights in tiles, as 8 bits, against the CPU and against the whole."""
    photo = compress(skimage.data.coffee()[:200, :296], "jpeg10")
    card = next(card for card in cards() if card.scale == 1)
    network = build_generator(options_in_file(card.path)).eval()
    with tf32(False) if context.cuda else nullcontext():
        on_cpu = Restorer(network, "cpu", tile=128)(photo)
        network = network.to(context.device)
        tiled = Restorer(network, context.device, tile=128)(photo)
        whole = Restorer(network, context.device)(photo)
    for case, other, allowed in (("tiles, to the CPU's", on_cpu, 1e-3), ("tiles, to the whole", whole, 1e-2)):
        apart = np.abs(tiled.astype(int) - other.astype(int))
        differing, most = float((apart > 0).mean()), int(apart.max())
        passed = most <= 1 and differing <= allowed
        values = {"largest difference, levels": most, "share of values that differ": differing}
        yield judged(f"{card.name}: {case}", values, passed, f"≤ 1 level in ≤ {100 * allowed:g} % of values")
