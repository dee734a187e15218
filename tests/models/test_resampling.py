"""The resize whose backward pass does not depend on timing: the same values and gradients as torch's."""

import pytest
import torch
import torch.nn.functional as F

from models.resampling import bicubic, by_matrices

SIZES = [((12, 10), (24, 20)), ((7, 9), (21, 27)), ((24, 20), (12, 10)), ((9, 5), (4, 8))]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_matrices_give_what_torch_gives(before, after):
    torch.manual_seed(0)
    image = torch.rand(2, 3, *before, dtype=torch.float64, requires_grad=True)
    seen = torch.rand(2, 3, *after, dtype=torch.float64)
    results = []
    for way in (bicubic, by_matrices):
        resized = way(image, after)
        results.append((resized, *torch.autograd.grad((resized * seen).sum(), image)))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-12)
    assert torch.equal(results[0][0], F.interpolate(image, size=after, mode="bicubic"))


def test_autocast_does_not_shorten_the_matrices():
    image = 255 * torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        found = by_matrices(image, (32, 32))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, F.interpolate(image, size=(32, 32), mode="bicubic"), rtol=0, atol=1e-3)
