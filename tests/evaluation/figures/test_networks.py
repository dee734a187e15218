"""Drawings of the networks: they say what the modules are, and nothing lies on anything else."""

import re
from itertools import combinations

import pytest
import torch
from matplotlib.patches import FancyBboxPatch

from evaluation.figures.networks import draw_networks
from evaluation.figures.networks.diagram import Diagram, slab, wide
from models import CISRPSI, CISRNet, RRDBNet, build_generator
from models.layers import RCAB


@pytest.fixture(scope="module")
def networks():
    return draw_networks()


def built(name, scale, **sizes):
    with torch.device("meta"):  # shapes alone
        return build_generator({"type": name, "scale": scale, **sizes})


def texts(figure):
    return [text.get_text().replace("\n", " ") for text in figure.axes[0].texts if text.get_text()]


def boxes(figure):
    """Extents on the page, in pixels: of each text, and of each block."""
    figure.draw_without_rendering()
    axes = figure.axes[0]
    words = {text: text.get_window_extent() for text in axes.texts if text.get_text()}
    return words, [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]


def covers(box, other):
    return box.x0 <= other.x0 and box.y0 <= other.y0 and box.x1 >= other.x1 and box.y1 >= other.y1


@pytest.mark.parametrize("name", ["network_cisr_psi", "network_cisrnet", "network_rrdbnet"])
def test_no_text_lies_on_another_leaves_the_page_or_crosses_the_edge_of_a_block(networks, name):
    figure = networks[name]
    words, blocks = boxes(figure)
    assert len(words) > 30 and len(blocks) > 20
    for (first, one), (second, other) in combinations(words.items(), 2):
        assert not one.overlaps(other), (first.get_text(), second.get_text())
    for text, box in words.items():
        assert covers(figure.bbox, box), text.get_text()
        for block in blocks:
            assert covers(block, box) or not block.overlaps(box), text.get_text()
    for one, other in combinations(blocks, 2):
        assert not one.overlaps(other)


def test_a_text_too_long_for_its_block_would_be_noticed():
    page = Diagram(20, 20)
    page.place(slab("conv", "far too long for a block"), 5, 10)
    page.place(wide("conv", "fits", 8), 14, 10)
    words, blocks = boxes(page.figure)
    fits = {text.get_text(): any(covers(block, box) for block in blocks) for text, box in words.items()}
    assert fits == {"far too long for a block": False, "fits": True}


def test_cisrnet_is_drawn_as_it_is_built(networks):
    network = built("cisrnet", 2)
    assert isinstance(network, CISRNet)
    said = texts(networks["network_cisrnet"])
    assert f"{len(network.coarse_groups)} residual groups of {len(network.coarse_groups[0].blocks)} PDAB" in said
    assert f"{len(network.fine[1])} residual groups of {len(network.fine[1][0].blocks)} SDAB" in said
    assert said.count("residual group") == len(network.coarse_groups) + len(network.fine[1]) + 1  # and the inset
    squeeze, expand = (network.coarse_groups[0].blocks[0].channel.weigh[place] for place in (1, 3))
    assert f"1×1, {squeeze.in_channels}→{squeeze.out_channels}" in said
    assert f"1×1, {expand.in_channels}→{expand.out_channels}" in said
    assert any(f"{network.coarse_first.out_channels} channels" in text for text in said)


def test_cisr_psi_is_drawn_as_it_is_built(networks):
    network = built("cisr_psi", 2)
    assert isinstance(network, CISRPSI)
    said = texts(networks["network_cisr_psi"])
    assert said.count("ARM") == said.count("REM") == network.options.steps
    assert said.count(f"{len(network.arm.groups)} residual groups") == 2 and len(network.rem.groups) == 5
    assert f"{len(network.arm.groups[0].blocks)} RCAB" in said and isinstance(network.arm.groups[0].blocks[0], RCAB)
    fold = network.arm.distill[0]
    assert f"{fold.kernel_size[0]}×{fold.kernel_size[1]}, stride {fold.stride[0]}" in said
    for conv in network.arm.combine.weigh[::2]:
        assert f"1×1, {conv.in_channels}→{conv.out_channels}" in said
    squeezed = network.arm.groups[0].blocks[0].attention.weigh[1]
    assert f"squeezes {squeezed.in_channels} to {squeezed.out_channels}" in said


def test_rrdbnet_is_drawn_as_it_is_built(networks):
    enhancing, enlarging = built("rrdbnet", 1), built("rrdbnet", 4, num_block=1)
    assert isinstance(enhancing, RRDBNet)
    said = texts(networks["network_rrdbnet"])
    size = f"×1: {len(enhancing.body)} RRDB, {enhancing.conv_first.out_channels} channels"
    assert f"{size} ×4: 23 RRDB, {enlarging.conv_first.out_channels} channels" in said
    assert said.count("nearest ×2") == enlarging.doublings == 2
    assert len([text for text in said if re.fullmatch(r"conv 3×3, \d", text)]) == 5
    assert said.count("dense block") == 3 and said.count("× 0.2") == 2
    # first, after the body; enhancement's last; two doublings, conv_hr, conv_last
    assert said.count("conv 3×3") == 2 + 1 + 4
