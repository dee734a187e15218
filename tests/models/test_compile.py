"""`torch.compile` follows every network in one graph, also under autocast: each break would cost speed."""

from __future__ import annotations

import pytest
import torch

from models import build_generator

SMALL = {
    "arcnn": {"num_feat": [8, 8, 8]},
    "cisr_psi": {"scale": 2, "num_feat": 8, "reduction": 4, "arm_groups": 1, "rem_groups": 1, "blocks": 1, "steps": 2},
    "cisrnet": {"scale": 2, "num_feat": 8, "reduction": 4, "coarse_groups": 1, "coarse_blocks": 1, "fine_groups": 1,
                "fine_blocks": 1},
    "dncnn": {"num_feat": 8, "layers": 3},
    "rcan": {"scale": 2, "num_feat": 8, "reduction": 4, "groups": 1, "blocks": 1},
    "rdn": {"scale": 2, "num_feat": 8, "num_grow_ch": 4, "blocks": 1, "layers": 2},
    "residual_unet": {"scale": 1, "widths": [8, 12], "blocks": [1, 1]},
    "rrdbnet": {"scale": 2, "num_feat": 8, "num_block": 1, "num_grow_ch": 4},
    "vdsr": {"scale": 2, "num_feat": 8, "layers": 3},
}  # fmt: skip


@pytest.mark.parametrize("type_", SMALL)
def test_no_network_breaks_the_graph_under_autocast(type_):
    torch.compiler.reset()
    network = build_generator({"type": type_, **SMALL[type_]}).train()
    lr = torch.rand(1, 3, 16, 16)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(compiled(lr), network(lr))
