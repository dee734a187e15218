"""data.pairs: which names go together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.pairs import by_original


@pytest.mark.parametrize(
    ("made", "original"),
    [("0801x2", "0801"), ("baby_SR", "baby"), ("baby", "baby"), ("a-out", "a"), ("img.restored", "img"), ("kX4", "k")],
)
def test_suffixes_that_programs_add(made, original):
    assert by_original([made], [original, "other"]) == ({original: [made]}, [])


def test_the_longest_original_wins_and_other_letters_do_not_fit():
    assert by_original(["a_1_SR", "a_SR", "ab", "1"], ["a", "a_1", "12"]) == (
        {"a_1": ["a_1_SR"], "a": ["a_SR"]},
        ["ab", "1"],
    )


@given(st.lists(st.text("ab_x2", max_size=5), unique=True), st.lists(st.text("ab_x2", max_size=4), unique=True))
def test_every_name_is_placed_once(made, originals):
    found, lonely = by_original(made, originals)
    assert sorted([*lonely, *(stem for group in found.values() for stem in group)]) == sorted(made)
    assert set(found) <= set(originals)
    assert all(name in found.get(name, []) for name in set(made) & set(originals))
