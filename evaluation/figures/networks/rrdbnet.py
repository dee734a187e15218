"""Drawing of RRDBNet, the generator of ESRGAN; it must agree with models/rrdbnet.py."""

from __future__ import annotations

from evaluation.figures.networks.diagram import CONV, DOTS, GAP, SUM, Diagram, image, signal, slab
from models.rrdbnet import RRDBNetOptions

RRDB, DENSE = slab("block", "RRDB"), slab("block", "dense block")
LRELU, SCALED = slab("activation", "LReLU 0.2"), slab("fixed", "× 0.2")
NEAREST = slab("upsample", "nearest ×2")


def draw_rrdbnet() -> Diagram:
    """Both published networks, quality enhancement at ×1 and super-resolution at ×4, and their blocks."""
    page = Diagram(98, 62)
    _whole(page, y=45.5)
    _rrdb(page, x=1, y=11.5)
    _dense(page, x=36, y=11.5)
    page.legend(3, 1.6)
    return page


def _whole(page: Diagram, y: float) -> None:
    enhancing, enlarging = (RRDBNetOptions(scale=scale).resolved() for scale in (1, 4))
    nodes = page.row([image("LR", 5), CONV, RRDB, RRDB, DOTS, RRDB, CONV, SUM], x=1.5, y=y)
    _, first, *blocks, _, added = nodes
    page.skip(page.after(first), added, y + 8)
    text = [f"×{sizes.scale}: {sizes.num_block} RRDB, {sizes.num_feat} channels" for sizes in (enhancing, enlarging)]
    page.bracket(blocks[0], blocks[-1], "\n".join(text))
    start = added.right[0] + 2 * GAP
    slope = slab("activation", "LReLU 0.1")
    above = page.row([slope, CONV, image("HR", 5)], start, y + 8)
    doubled = [NEAREST, CONV, LRELU] * 2  # ×4: two doublings
    below = page.row([*doubled, CONV, LRELU, CONV, image("HR", 5)], start, y - 8, gap=1.75)
    fork = start - GAP, y
    page.arrow(added.right, fork, head=False)
    page.dot(fork)
    for tail in (above, below):
        page.arrow(fork, (fork[0], tail[0].y), tail[0].left)
    page.text("quality enhancement (×1)", above[0].left[0], y + 15, ha="left", weight="bold")
    page.text("super-resolution (×4)", below[0].left[0], y - 1.2, ha="left", weight="bold")


def _rrdb(page: Diagram, x: float, y: float) -> None:
    page.frame(x, y - 7.5, x + 33, y + 17, "RRDB: residual in residual dense block")
    page.residual_row([DENSE, DENSE, DENSE, SCALED, SUM], x + 1.5, y, skip=8)


def _dense(page: Diagram, x: float, y: float) -> None:
    """Five convolutions; each sees the block's input and the outputs of all convolutions before it."""
    page.frame(x, y - 7.5, x + 61, y + 17, "dense block: every convolution sees all before it")
    convs = [slab("conv", f"conv 3×3, {n}") for n in range(1, 6)]
    parts = [signal("", 0.5), *[part for conv in convs[:4] for part in (conv, LRELU)], convs[4], SCALED, SUM]
    nodes = page.row([*parts, signal("", 0.5)], x + 1.5, y)
    features = [page.after(node) for node in (nodes[0], *nodes[2:9:2])]
    for place, source in enumerate(features[:4]):
        page.concatenate(source, nodes[1 + 2 * (place + 1) : 10 : 2], y + 7.5 + 1.8 * place, into=0.6 * (place - 1.5))
    page.skip(features[0], nodes[-2], y - 6.5)
