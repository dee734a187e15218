"""Drawings of the three networks, made from the options that build them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluation.figures.networks.cisr_psi import draw_cisr_psi
from evaluation.figures.networks.cisrnet import draw_cisrnet
from evaluation.figures.networks.rrdbnet import draw_rrdbnet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_networks() -> dict[str, Figure]:
    """The networks at the papers' sizes, by file name."""
    drawings = {
        "network_cisr_psi": draw_cisr_psi(),
        "network_cisrnet": draw_cisrnet(),
        "network_rrdbnet": draw_rrdbnet(),
    }
    return {name: page.figure for name, page in drawings.items()}
