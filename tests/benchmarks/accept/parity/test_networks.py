"""Every network that can be made is held against something."""

from pathlib import Path

from benchmarks.accept.parity.golden_outputs import golden_cases
from benchmarks.accept.parity.networks import RANDOM
from inference.shipped_weights import cards
from models import GENERATORS

GOLDEN = Path(__file__).parents[3] / "golden"


def test_every_generator_is_in_the_parity_steps():
    released = {network.options.type for _, network, *_ in golden_cases(GOLDEN)}
    shipped = {card.system for card in cards()}
    foreign = {kind for kind, network in GENERATORS.items() if network.reads_its_weights}  # spandrel: weights of others
    assert released | shipped | set(RANDOM) | foreign == set(GENERATORS)
