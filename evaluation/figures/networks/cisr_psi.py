"""Drawing of CISR-PSI; it must agree with models/cisr_psi.py."""

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
    Node,
    Part,
    image,
    signal,
    slab,
    wide,
)
from models.cisr_psi import CISRPSIOptions

CONCAT = slab("concat", "concat")
PRIOR = wide("attention", "non-local\nprior", 8.5)
COMBINATION = wide("attention", "adaptive\ncombination", 10.5)
Z, D, U, Y_HAT, X_HAT = "$z$", "$d$", "$u$", r"$\hat{y}$", r"$\hat{x}$"


def draw_cisr_psi() -> Diagram:
    """The unfolded network at the paper's sizes, its two modules, and their parts."""
    options = CISRPSIOptions(scale=2)
    page = Diagram(84, 101.5)
    _unfolded(page, options, y=88.5)
    _removal(page, options, x=1, y=67.5)
    _enhancement(page, options, x=1, y=39.5)
    _group(page, options, x=55, y=35.5)
    _block(page, options, x=1, y=11)
    _combination(page, x=38, y=11)
    page.legend(3, 1.6, attention="attention, weighting", upsample="changes size")
    return page


def _unfolded(page: Diagram, options: CISRPSIOptions, y: float) -> None:
    """z is an input of every module; all steps share their weights."""
    removal, enhancement = slab("block", "ARM"), slab("block", "REM")
    parts = [image(f"LR\n{Z}", 5), _resize("bicubic ↑", slab=True)]
    for step in range(1, options.steps):
        parts += [signal(_numbered(X_HAT, step - 1)), removal, signal(_numbered(Y_HAT, step)), enhancement]
    parts += [
        signal(_numbered(X_HAT, options.steps - 1)),
        removal,
        signal(_numbered(Y_HAT, options.steps)),
        enhancement,
    ]
    nodes = page.row([*parts, image(f"HR\n{_numbered(X_HAT, options.steps)}", 5)], 5, y)
    modules = nodes[3:-1:2]
    start = page.after(nodes[0])
    page.dot(start)
    page.arrow(start, (start[0], y + 8), (modules[-1].x, y + 8), head=False)
    for module in modules:
        page.arrow((module.x, y + 8), module.top)
    for step in range(options.steps):
        first, last = modules[2 * step : 2 * step + 2]
        page.bracket(first, last, f"step {step + 1}")
    middle = (nodes[0].x + nodes[-1].x) / 2
    page.text(f"{options.steps} steps of the same two modules", middle, y + 11, weight="bold")


def _removal(page: Diagram, options: CISRPSIOptions, x: float, y: float) -> None:
    """ARM: a residual from HR images, folded to LR size, on a weighted mean of LR images."""
    page.frame(x, y - 16, x + 82, y + 10.5, f"ARM: artefact removal module, at LR size, {options.num_feat} channels")
    page.text(f"↑, ↓: bicubic by {options.scale}", x + 81, y + 9.5, ha="right", va="top", size=8.5)
    fold = slab("conv", f"{2 + options.scale}×{2 + options.scale}, stride {options.scale}")
    joined = _joined(page, [f"{Z}↑", X_HAT, f"{U}↑"], x + 2, y)
    before, after = [fold, RELU, CONV, CONV], [CONV, RELU, CONV, SUM, signal(Y_HAT)]
    *_, total, _ = _chain(page, joined, before, after, options.arm_groups, y)
    low = y - 12
    down = page.row([signal(X_HAT), _resize("bicubic ↓"), signal(D)], x + 2, low)
    u = _prior(page, D, down[-1].right[0] + 5, low)
    mean = _mean(page, [Z, D, U], u.right[0] + 5, low)
    page.arrow(mean.right, (total.x, low), total.bottom)


def _enhancement(page: Diagram, options: CISRPSIOptions, x: float, y: float) -> None:
    """REM: a residual at HR size on an enlarged weighted mean of LR images."""
    page.frame(x, y - 16, x + 53, y + 10.5, "REM: resolution enhancement module")
    upsampler = slab("upsample", f"upsampler ×{options.scale}")
    joined = _joined(page, [Z, Y_HAT, U], x + 2, y)
    *_, total, _ = _chain(page, joined, [CONV], [upsampler, CONV, SUM, signal(X_HAT)], options.rem_groups, y)
    low = y - 12
    u = _prior(page, Y_HAT, x + 2, low)
    mean = _mean(page, [Z, Y_HAT, U], u.right[0] + 5, low)
    larger = page.place(_resize("bicubic ↑"), mean.right[0] + GAP + 4, low)
    page.arrow(mean.right, larger.left)
    page.arrow(larger.right, (total.x, low), total.bottom)


def _joined(page: Diagram, names: list[str], x: float, y: float) -> Node:
    """Named images beside a concatenation."""
    bar = page.place(CONCAT, x + 6.5, y)
    for name, level in zip(names, (y + 3.6, y, y - 3.6)):
        named = page.place(signal(name), x + 1.2, level)
        page.arrow(named.right, (bar.left[0], level))
    return bar


def _chain(page: Diagram, joined: Node, before: list[Part], after: list[Part], groups: int, y: float) -> list[Node]:
    """A backbone after a concatenation: `before`, residual groups with one skip connection, `after`."""
    nodes = page.row([*before, GROUP, DOTS, GROUP, SUM, *after], joined.right[0] + GAP, y)
    page.arrow(joined.right, nodes[0].left)
    head, first, _, last, added = nodes[len(before) - 1 : len(before) + 4]
    page.skip(page.after(head), added, y + 7)
    page.bracket(first, last, f"{groups} residual groups")
    return nodes


def _prior(page: Diagram, guide: str, x: float, y: float) -> Node:
    """u, from z and the image that determines the similarities."""
    block, out = page.row([PRIOR, signal(U)], x + 4.4, y)
    for name, level in ((Z, y + 1.3), (guide, y - 1.3)):
        named = page.place(signal(name), x + 1.2, level)
        page.arrow(named.right, (block.left[0], level))
    return out


def _mean(page: Diagram, names: list[str], x: float, y: float) -> Node:
    block = page.place(wide("attention", COMBINATION.text, COMBINATION.width, 6.6), x + 4.4 + COMBINATION.width / 2, y)
    for name, level in zip(names, (y + 2.3, y, y - 2.3)):
        named = page.place(signal(name), x + 1.2, level)
        page.arrow(named.right, (block.left[0], level))
    return block


def _group(page: Diagram, options: CISRPSIOptions, x: float, y: float) -> None:
    page.frame(x, y - 12, x + 28, y + 14.5, "residual group")
    block = slab("block", "RCAB")
    nodes = page.residual_row([block, DOTS, block, CONV, SUM], x + 1, y, skip=8)
    page.bracket(nodes[1], nodes[3], f"{options.blocks} RCAB")


def _block(page: Diagram, options: CISRPSIOptions, x: float, y: float) -> None:
    page.frame(x, y - 7.5, x + 36, y + 11, "RCAB: residual channel attention block")
    attention = wide("attention", "channel\nattention", 8.5)
    nodes = page.residual_row([CONV, RELU, CONV, attention, SUM], x + 1.5, y, skip=7)
    squeezed = options.num_feat // options.reduction
    page.text(f"squeezes {options.num_feat} to {squeezed}", nodes[4].x, y - 3.2, size=8)


def _combination(page: Diagram, x: float, y: float) -> None:
    """Three images weighted by maps that sum to 1."""
    page.frame(x, y - 7.5, x + 45, y + 11, "adaptive combination")
    first, second = slab("conv", "1×1, 9→3"), slab("conv", "1×1, 3→3")
    scaled, softmax, summed = slab("fixed", "÷ 255"), slab("activation", "softmax"), slab("fixed", "sum of the 3")
    parts = [signal("three\nimages", 5.4), scaled, first, RELU, second, softmax, PRODUCT, summed, signal("", 0.5)]
    nodes = page.row(parts, x + 1, y)
    page.skip(page.after(nodes[0]), nodes[-3], y + 7)


def _resize(text: str, *, slab: bool = False) -> Part:
    return Part("upsample", text, *((3.0, 11.0) if slab else (8.0, 3.4)))


def _numbered(letter: str, step: int) -> str:
    return f"{letter[:-1]}_{step}$"
