"""Drawing of CISRNet; it must agree with models/cisrnet.py."""

from __future__ import annotations

from evaluation.figures.networks.diagram import (
    CONV,
    DOTS,
    GAP,
    GROUP,
    PRODUCT,
    RELU,
    SUM,
    Diagram,
    Part,
    image,
    signal,
    slab,
    wide,
)
from models.cisrnet import CISRNetOptions

BLOCKS = {"parallel": "PDAB", "sequential": "SDAB"}
CONV1, SIGMOID = slab("conv", "conv 1×1"), slab("activation", "sigmoid")


def draw_cisrnet() -> Diagram:
    """The network at the paper's sizes, its two attention blocks, and their parts."""
    options = CISRNetOptions(scale=2)
    page = Diagram(96, 67)
    _whole(page, options, y=54.5)
    _parallel(page, x=1, y=31.5)
    _sequential(page, x=49.5, y=31.5)
    _group(page, x=1, y=11.5)
    _channel(page, options, x=30, y=11.5)
    _spatial(page, x=63.8, y=11.5)
    page.legend(3, 1.6)
    return page


def _whole(page: Diagram, options: CISRNetOptions, y: float) -> None:
    coarse_groups, fine_groups = [GROUP] * options.coarse_groups, [GROUP] * options.fine_groups
    upsampler = slab("upsample", f"upsampler ×{options.scale}")
    first = [image("LR", 5), CONV, *coarse_groups, CONV, SUM, upsampler, CONV, image("coarse\nHR", 6)]
    nodes = page.row([*first, CONV, *fine_groups, CONV, SUM, image("HR", 5)], x=2, y=y)
    count = len(first)
    lr, conv, *groups = nodes[: 2 + len(coarse_groups)]
    _, added, _, last, coarse = nodes[2 + len(coarse_groups) : count]
    page.skip(page.after(conv), added, y + 8)
    _, *fine, _, total, _ = nodes[count:]
    page.skip(page.after(coarse), total, y + 8)
    text = "{} residual groups\nof {} {}"
    kinds = BLOCKS[options.coarse_block_kind], BLOCKS[options.fine_block_kind]
    page.bracket(groups[0], groups[-1], text.format(len(groups), options.coarse_blocks, kinds[0]))
    page.bracket(fine[0], fine[-1], text.format(len(fine), options.fine_blocks, kinds[1]))
    page.text(f"coarse network: {options.num_feat} channels at LR size", (lr.x + last.x) / 2, y + 10.5, weight="bold")
    page.text("refinement network: at HR size", (coarse.x + total.x) / 2, y + 10.5, weight="bold")


def _parallel(page: Diagram, x: float, y: float) -> None:
    """PDAB: both attentions see the same features; a 1×1 convolution mixes their outputs."""
    page.frame(x, y - 7, x + 47, y + 11.5, "PDAB: parallel dual attention block")
    start, *_, body = page.row([signal("", 0.5), CONV, RELU, CONV], x + 1.5, y)
    above = page.place(wide("attention", "spatial\nattention", 8.5), body.x + 9.5, y + 3.5)
    below = page.place(wide("attention", "channel\nattention", 8.5), body.x + 9.5, y - 3.5)
    joined = page.row([slab("concat", "concat"), CONV1, SUM, signal("", 0.5)], above.right[0] + GAP, y)
    fork = page.after(body, 2 * GAP)
    page.arrow(body.right, fork, head=False)
    page.dot(fork)
    for attention in (above, below):
        page.arrow(fork, (fork[0], attention.y), attention.left)
        page.arrow(attention.right, (joined[0].left[0], attention.y))
    page.skip(page.after(start), joined[2], y + 7.4)


def _sequential(page: Diagram, x: float, y: float) -> None:
    """SDAB: channel attention, then spatial attention on its output."""
    page.frame(x, y - 7, x + 45.5, y + 11.5, "SDAB: sequential dual attention block")
    channel, spatial = (wide("attention", f"{name}\nattention", 8.5) for name in ("channel", "spatial"))
    page.residual_row([CONV, RELU, CONV, channel, spatial, SUM], x + 1.5, y, skip=7.4)


def _group(page: Diagram, x: float, y: float) -> None:
    page.frame(x, y - 7.5, x + 28.2, y + 11, "residual group")
    block = slab("block", "PDAB or SDAB")
    page.residual_row([block, DOTS, block, CONV, SUM], x + 1.5, y - 0.5, skip=7.5)


def _channel(page: Diagram, options: CISRNetOptions, x: float, y: float) -> None:
    page.frame(x, y - 7.5, x + 33, y + 11, "channel attention")
    hidden = options.num_feat // options.reduction
    parts = [slab("fixed", "global mean"), _conv1(options.num_feat, hidden), RELU, _conv1(hidden, options.num_feat)]
    page.residual_row([*parts, SIGMOID, PRODUCT], x + 1, y - 0.5, skip=7.5, gap=1.6)


def _conv1(before: int, after: int) -> Part:
    return slab("conv", f"1×1, {before}→{after}")


def _spatial(page: Diagram, x: float, y: float) -> None:
    page.frame(x, y - 7.5, x + 31.2, y + 11, "spatial attention")
    pooled = wide("fixed", "max and mean\nof the channels", 10.5)
    conv = slab("conv", "3×3, 2→1")
    page.residual_row([pooled, conv, SIGMOID, PRODUCT], x + 1, y - 0.5, skip=7.5, gap=1.6)
