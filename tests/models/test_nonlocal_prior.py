from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from models import load_weights
from models.nonlocal_prior import NonLocalPrior, block_artefacts

GOLDEN = Path(__file__).parents[1] / "golden"


def operator(*, seed: int = 0, **options) -> NonLocalPrior:
    torch.manual_seed(seed)
    return NonLocalPrior(**options)


def images(height: int, width: int, count: int = 1) -> tuple[Tensor, Tensor]:
    """A coarsely quantised photograph and a smoother guide, on 0–255."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()
    crops = [photo[:, 60 + 40 * i :, 140 + 40 * i :][:, :height, :width] for i in range(count)]
    z = (torch.stack(crops) / 40).round() * 40
    guide = F.avg_pool2d(F.pad(z, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return z, guide


def dense(module: NonLocalPrior, z: Tensor, guide: Tensor) -> Tensor:
    """The formula as it reads, in float64, all N_p×N_p similarities at once, no windows."""
    height, width = z.shape[-2:]
    mask = F.avg_pool2d(1 - block_artefacts(z, guide), 3, stride=1).flatten(2).double()
    if module.mask == "clamped":
        mask = mask.clamp(min=0)
    z_patches, g_patches = F.unfold(z.double(), 3), F.unfold(guide.double(), 3)
    hidden = torch.einsum("oc,ncp->nop", module.bandwidth[0].weight[..., 0, 0].double(), g_patches)
    hidden = (hidden + module.bandwidth[0].bias.double()[:, None]).relu()
    eta = torch.einsum("oc,ncp->nop", module.bandwidth[2].weight[..., 0, 0].double(), hidden)
    eta = (eta + module.bandwidth[2].bias.double()[:, None]).transpose(1, 2)
    rows = g_patches.transpose(1, 2)
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    weights = (-distances / (eta**2 + 1)).softmax(dim=-1) * mask
    weights = weights / (weights.sum(dim=-1, keepdim=True) + 0.001)
    restored = (weights @ z_patches.transpose(1, 2)).transpose(1, 2)
    return F.fold(restored, (height, width), 3) / F.fold(torch.ones_like(restored), (height, width), 3)


def test_released_prior_its_block_map_and_its_output():
    module = operator(mask="released")
    load_weights(module, GOLDEN / "cisr_psi_nonlocal_prior.pth")
    golden = {k: torch.from_numpy(v) for k, v in np.load(GOLDEN / "cisr_psi_nonlocal_prior.npz").items()}
    z, guide = golden["input"], golden["guide"]
    assert (block_artefacts(z, guide) - golden["block"]).abs().max() < 1e-4
    with torch.no_grad():
        assert (module(z, guide) - golden["output"]).abs().max() < 0.01


@pytest.mark.parametrize("mask", ["clamped", "released"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_dense_formula(mask, seed):
    module = operator(seed=seed, mask=mask)
    z, guide = images(30, 26, count=2)
    tolerance = {"clamped": 0.003, "released": 0.03}[mask]  # the released arithmetic rounds more
    with torch.no_grad():
        assert (module(z, guide) - dense(module, z, guide)).abs().max() < tolerance


def test_the_released_arithmetic_in_blocks_is_that_of_one_block(monkeypatch):
    module = operator(seed=1, mask="released")
    z, guide = images(30, 26, count=2)
    with torch.no_grad():
        whole = module(z, guide)
        monkeypatch.setattr("models.nonlocal_prior._BLOCK", 100 * 28 * 24)  # 672 rows: 100 at a time
        assert (module(z, guide) - whole).abs().max() < 0.003


def test_a_negative_denominator_explodes_only_with_the_released_mask():
    z, _ = images(32, 32)
    guide = 255 - z  # every edge turned round: 1 − cos = 2, the mask −1
    with torch.no_grad():
        clamped = operator(seed=1, mask="clamped")(z, guide)
        released = operator(seed=1, mask="released")(z, guide)
    assert clamped.min() >= 0
    assert clamped.max() <= 255
    assert released.min() < -255
    assert released.max() > 510


def windows_one_by_one(module: NonLocalPrior, z: Tensor, guide: Tensor) -> Tensor:
    """The splitting rule as described, without batching; each window by a module that never splits."""
    height, width = z.shape[-2:]
    if height * width < 6400:
        unsplit = NonLocalPrior(window=None, mask=module.mask)
        unsplit.load_state_dict(module.state_dict())
        return unsplit(z, guide)
    out = torch.empty_like(z)
    spans = []
    for size in (height, width):
        half, side = size // 2, size // 2 + 10
        if side < size:
            spans.append([(slice(0, side), slice(0, half), slice(0, half))])
            spans[-1].append((slice(size - side, size), slice(half, size), slice(half - size, None)))
        else:
            spans.append([(slice(0, size),) * 3])
    for rows, to_y, from_y in spans[0]:
        for columns, to_x, from_x in spans[1]:
            window = windows_one_by_one(module, z[..., rows, columns], guide[..., rows, columns])
            out[..., to_y, to_x] = window[..., from_y, from_x]
    return out


@pytest.mark.parametrize(
    ("height", "width", "coarser"),
    [(80, 80, 81), (79, 81, None), (121, 90, 105), (20, 321, 81), (340, 19, 81), (140, 141, 140)],
    ids=["just split", "just not", "odd", "low", "narrow", "twice"],
)
def test_large_images_go_through_the_released_windows(height, width, coarser):
    """`coarser`: a window with which the image is split one time less (once, where 80 splits twice)."""
    module = operator(seed=1, mask="released")
    z, guide = images(height, width, count=2)
    with torch.no_grad():
        split, expected = module(z, guide), windows_one_by_one(module, z, guide)
        less = NonLocalPrior(window=coarser, mask="released")
        less.load_state_dict(module.state_dict())
        differs = (split - less(z, guide)).abs().max() > 0.1
    assert (split - expected).abs().max() < 0.003
    assert differs == (coarser is not None)


def test_window_size_is_a_choice():
    z, guide = images(48, 48)
    with torch.no_grad():
        small, default = operator(window=40)(z, guide), operator()(z, guide)
        large = operator(window=49)(z, guide)
    assert torch.equal(large, default)
    assert not torch.allclose(small, default, atol=0.1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (2, 2), (9, 2), (3, 3), (3, 4), (5, 4)])
def test_smallest_images(height, width):
    module = operator()
    z, guide = images(height, width)
    margins = (0, max(0, 3 - width), 0, max(0, 3 - height))
    with torch.no_grad():
        restored = module(z, guide)
        padded = [F.pad(image, margins, mode="replicate") for image in (z, guide)]
        expected = dense(module, *padded)[..., :height, :width]
    assert restored.shape == z.shape
    assert (restored - expected).abs().max() < 0.003


@pytest.mark.parametrize("seed", range(4))
def test_gradients_reach_the_bandwidth_only_and_are_those_of_the_dense_form(seed):
    module = operator(seed=seed)  # η up to 7 (seeds 0, 2), or mostly far from 0 (seeds 1, 3)
    z, guide = images(24, 22, count=2)
    clean = z + torch.randn_like(z)
    z.requires_grad_()
    guide.requires_grad_()

    def gradient(restored: Tensor) -> Tensor:
        module.zero_grad()
        F.l1_loss(restored, clean.to(restored)).backward()
        return torch.cat([parameter.grad.flatten() for parameter in module.parameters()])

    ours, exact = gradient(module(z, guide)), gradient(dense(module, z.detach(), guide.detach()))
    assert z.grad is None
    assert guide.grad is None
    assert (ours - exact).norm() < 5e-3 * exact.norm()


def test_no_matrix_of_all_similarities_forward_or_backward(largest_tensor):
    module = operator()
    z, guide = images(44, 44)
    patches = 42 * 42

    def largest() -> int:
        with largest_tensor() as seen:
            module(z, guide).sum().backward()
        return seen.elements

    assert largest() < patches**2 / 16
    with sdpa_kernel(SDPBackend.MATH):  # proof that such a matrix would be seen
        assert largest() >= patches**2


def test_float32_inside_autocast():
    module = operator()
    z, guide = images(24, 24)
    expected = module(z, guide)
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(z, guide)
        from_bfloat16 = module(z.bfloat16(), guide.bfloat16())
    assert inside.dtype == from_bfloat16.dtype == torch.float32
    assert torch.equal(inside, expected)


def test_88_parameters():
    assert sum(parameter.numel() for parameter in NonLocalPrior().parameters()) == 88
    assert len(NonLocalPrior().state_dict()) == 4
