"""`like: <name>`: an item of a list over an earlier one."""

import string
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.errors import OptionsError
from utils.options import load, to_yaml
from utils.options.like import resolve_likes
from utils.options.yaml_text import parse, to_text
from utils.section import Section


class Tool(Section):
    """A section of an item."""

    type: Literal["saw", "file"] = "saw"
    size: float = 1.0
    teeth: tuple[int, ...] = ()


class Part(Section):
    """An item of a list in an item."""

    name: str
    count: int


class Item(Part):
    """An item of a list."""

    tool: Tool = Tool()
    parts: tuple[Part, ...] = ()


class Whole(Section):
    """The top."""

    items: tuple[Item, ...] = ()


def read(folder, text, *overrides, name="a.yml"):
    (folder / name).write_text(text, encoding="utf-8")
    return load(folder / name, Whole, overrides)


THREE = """\
items:
  - name: one
    count: 3
    tool: {size: 2, teeth: [1, 2]}
  - name: two
    like: one
    tool: {size: 5}
  - {name: three, like: two, count: 4, tool: {teeth: [9]}}
"""


def test_an_item_takes_key_by_key_what_it_does_not_give(tmp_path):
    one, two, three = read(tmp_path, THREE).items
    assert one == Item(name="one", count=3, tool=Tool(size=2.0, teeth=(1, 2)))
    assert two == Item(name="two", count=3, tool=Tool(size=5.0, teeth=(1, 2)))
    assert three == Item(name="three", count=4, tool=Tool(size=5.0, teeth=(9,)))


def test_another_type_replaces_the_section(tmp_path):
    text = THREE.replace("tool: {size: 5}", "tool: {type: file}").replace("size: 2,", "type: saw, size: 2,")
    assert read(tmp_path, text).items[1].tool == Tool(type="file")


def test_resolved_options_are_read_back_alike(tmp_path):
    options = read(tmp_path, THREE)
    assert "like" not in to_yaml(options)
    assert read(tmp_path, to_yaml(options), name="resolved.yml") == options


def test_a_command_line_override_reaches_its_own_item_alone(tmp_path):
    items = read(tmp_path, THREE, "items.0.tool.size=7").items
    assert [item.tool.size for item in items] == [7.0, 5.0, 5.0]
    items = read(tmp_path, THREE, "items.1.tool.teeth=[4]").items
    assert [item.tool.teeth for item in items] == [(1, 2), (4,), (9,)]  # copies, not the same list


def test_lists_within_items_and_bases(tmp_path):
    inner = "items: [{name: a, count: 1, parts: [{name: x, count: 2}, {name: y, like: x}]}, {name: b, like: a}]"
    a, b = read(tmp_path, inner).items
    assert a.parts == b.parts == (Part(name="x", count=2), Part(name="y", count=2))
    assert read(tmp_path, "base: a.yml", name="b.yml").items == (a, b)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("like: four", r"a\.yml:6: items\.1\.like: expected the name of an earlier item, got 'four'; .* are one$"),
        (
            "like: 1",
            r"a\.yml:6: items\.1\.like: expected the name of an earlier item, got 1; the earlier ones are one$",
        ),
        ("like: two", r"a\.yml:6: items\.1\.like: 'two' does not come before this item; the earlier ones are one$"),
        ("like: three", r"a\.yml:6: items\.1\.like: 'three' does not come before this item; .* are one$"),
        ("like: one\n    cuont: 1", r"a\.yml:7: items\.1\.cuont: unknown key; did you mean 'count'"),
        ("like: one\n    count: many", r"a\.yml:7: items\.1\.count: expected a valid integer"),
    ],
)
def test_mistakes_are_one_line_that_says_where(tmp_path, text, said):
    with pytest.raises(OptionsError, match=said) as caught:
        read(tmp_path, THREE.replace("like: one", text))
    assert "\n" not in str(caught.value)


def test_the_first_item_cannot_be_like_another(tmp_path):
    with pytest.raises(OptionsError, match=r":1: items\.0\.like: 'b' does not come before .* none before this one"):
        read(tmp_path, "items: [{name: a, like: b}, {name: b, count: 1}]")


def test_a_mistake_in_a_copied_value_names_the_line_it_came_from(tmp_path):
    with pytest.raises(OptionsError, match=r"a\.yml:1: items\.0\.count"):
        read(tmp_path, "items: [{name: a, count: x}, {name: b, like: a}]")


def test_like_outside_a_list_is_an_unknown_key(tmp_path):
    with pytest.raises(OptionsError, match=r":1: like: unknown key"):
        read(tmp_path, "like: one")


def test_what_is_copied_is_bounded(tmp_path):
    big = ", ".join(["1"] * 5000)
    text = f"items:\n- {{name: a, count: 1, tool: {{teeth: [{big}]}}}}\n" + "".join(
        f"- {{name: b{number}, like: a}}\n" for number in range(30)
    )
    with pytest.raises(OptionsError, match="`like` copies more than 100000 values"):
        read(tmp_path, text)


KEYS = st.text(string.ascii_lowercase, min_size=1, max_size=3).filter(lambda key: key not in ("like", "name", "type"))
VALUES = st.recursive(
    st.integers(0, 9),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)


def over(old, new):
    """`new` over `old`, by the rule of the documentation."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{key: over(old[key], value) if key in old else value for key, value in new.items()}}


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_two_items(first, second):
    text = to_text({"items": [{"name": "a", **first}, {"name": "b", "like": "a", **second}]})
    data, origins = parse(text, "a")
    resolve_likes(data, origins)
    assert data["items"] == [{"name": "a", **first}, over({"name": "a", **first}, {"name": "b", **second})]
    again, expected = parse(to_text(data), "a")
    assert again == data and origins.keys() == expected.keys()  # a line for every value, and for nothing else
