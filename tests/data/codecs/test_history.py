"""Histories: as many encodings as their chances say, one resize at most, shifts between encodings alone."""

from collections import Counter

import numpy as np

from data.codecs import Codec, parse
from data.codecs.chain import Chain
from data.codecs.history import History
from data.codecs.steps import Shift, Sizing, parse_step

SINGLE = tuple(map(parse, ("jpeg30..95", "webp40..90", "jpeg50:444", "none")))


def history(**changes):
    known = {"resize": parse_step("resize0.5..1"), "resize_chance": 0.4, "shift": parse_step("shift0..15,0..15")}
    return History(SINGLE, **{"encodings": (5, 3, 2), **known, "shift_chance": 0.5, **changes})


def steps_of(codec):
    return codec.steps if isinstance(codec, Chain) else (codec,)


def drawn(what, count=2000):
    return [steps_of(what.draw(np.random.default_rng(seed))) for seed in range(count)]


def test_everything_is_drawn_as_often_as_its_chance_says():
    chains = drawn(history())
    counts = Counter(sum(isinstance(step, Codec) for step in chain) for chain in chains)
    assert set(counts) == {1, 2, 3}
    for number, share in ((1, 0.5), (2, 0.3), (3, 0.2)):
        assert abs(counts[number] / 2000 - share) < 0.04
    resizes = [sum(isinstance(step, Sizing) for step in chain) for chain in chains]
    assert max(resizes) == 1 and abs(sum(resizes) / 2000 - 0.4) < 0.04
    between = [
        isinstance(chain[place + 1], Shift)
        for chain in chains
        for place, step in enumerate(chain[:-1])
        if isinstance(step, Codec) and not isinstance(chain[place + 1], Sizing)
    ]
    assert abs(sum(between) / len(between) - 0.5) < 0.05
    families = Counter(str(step)[:4] for chain in chains for step in chain if isinstance(step, Codec))
    assert abs(families["jpeg"] / sum(families.values()) - 0.5) < 0.04
    assert not any(step.is_range for chain in chains for step in chain)


def test_a_chance_of_zero_is_never_and_of_one_is_always():
    chains = drawn(history(encodings=(0, 1), resize_chance=0, shift_chance=1), 200)
    assert all(len(chain) == 3 and isinstance(chain[1], Shift) for chain in chains)
    chains = drawn(history(encodings=(1,), resize_chance=1), 200)
    assert all(len(chain) == 2 and isinstance(chain[0], Sizing) for chain in chains)


def test_what_is_drawn_compresses_to_the_size_of_its_original():
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    for seed in range(40):
        codec = history().draw(np.random.default_rng(seed))
        assert codec.compress(image).shape == codec.original_of(image).shape
        assert str(codec) == str(history().draw(np.random.default_rng(seed)))
