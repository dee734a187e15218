"""Options: what is read is typed, and every mistake is one line that says what and where."""

import string
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from utils.errors import UserError
from utils.options import OptionsError, differences, load, to_yaml, validate
from utils.options.types import OneOf, all_keys
from utils.section import Section


class Square(Section):
    """A shape."""

    type: Literal["square"] = "square"
    side: float = 1.0


class Circle(Section):
    """Another."""

    type: Literal["circle"] = "circle"
    radius: float = 1.0


class Part(Section):
    """An item of a list."""

    name: str
    count: int = 1
    folder: Path | None = None


class Whole(Section):
    """The top."""

    title: str = "untitled"
    ratio: float = 0.5
    flag: bool = False
    pair: tuple[float, float] = (0.0, 1.0)
    shape: Annotated[Square | Circle, Field(discriminator="type")] = Square()
    parts: tuple[Part, ...] = ()


def write(folder, text, name="a.yml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_values_are_typed_and_defaults_filled_in(tmp_path):
    path = write(
        tmp_path,
        "ratio: 1e-4\npair: [1, 2]\nshape: {type: circle, radius: 3}\nparts: [{name: x, folder: d}]\n",
    )
    options = load(path, Whole)
    assert options.ratio == 1e-4 and options.pair == (1.0, 2.0)
    assert options.shape == Circle(radius=3.0)
    assert options.parts == (Part(name="x", count=1, folder=Path("d")),)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("ratoi: 1", ":1: ratoi", "did you mean 'ratio'"),
        ("title: x\nparts:\n- name: a\n  cuont: 3", ":4: parts.0.cuont", "did you mean 'count'"),
        ("shape: {type: circle, radios: 3}", ":1: shape.radios", "did you mean 'radius'"),
        ("radius: 2", ":1: radius", "did you mean 'shape.radius'"),
        ("ratio: many", ":1: ratio", "expected a valid number, got 'many'"),
        ("parts: [{name: a, count: 1.5}]", ":1: parts.0.count", "integer"),
        ("flag: 1", ":1: flag", "boolean"),
        ("flag: yes", ":1: flag", "boolean"),
        ("shape: {type: triangle}", ":1: shape", "expected one of 'square', 'circle', got 'triangle'"),
        ("shape: {side: 2}", ":1: shape", "expected a section with a 'type'"),
        ("parts: [{count: 2}]", ":1: parts.0.name", "required"),
        ("ratio: 1\nratio: 2", ":2: ratio", "twice"),
        ("ratio: [1", ":1", "not valid YAML"),
        ("- a\n- b", "a.yml", "expected 'key: value' lines"),
        ("title: !!python/object/apply:os.system [ls]", ":1: title", "the tag !!python/object/apply:os.system"),
        ("base: nowhere.yml", ":1: base", "no such file"),
        ("1: x", ":1: 1", "plain text"),
    ],
)
def test_mistakes_name_file_line_and_key(tmp_path, text, where, what):
    path = write(tmp_path, text)
    with pytest.raises(OptionsError) as error:
        load(path, Whole)
    message = str(error.value)
    assert message.startswith(str(tmp_path)) and where in message and what in message and "\n" not in message


def test_base_is_merged_key_by_key_and_lists_are_replaced(tmp_path):
    write(
        tmp_path,
        "title: base\nratio: 2\nparts: [{name: a}, {name: b}]\nshape: {type: circle, radius: 5}",
        "base.yml",
    )
    path = write(tmp_path, "base: base.yml\nratio: 3\nparts: [{name: c}]")
    options = load(path, Whole)
    assert (options.title, options.ratio, [part.name for part in options.parts]) == ("base", 3.0, ["c"])
    assert options.shape == Circle(radius=5.0)


def test_another_type_replaces_the_section_of_the_base(tmp_path):
    write(tmp_path, "shape: {type: circle, radius: 5}", "base.yml")
    assert load(write(tmp_path, "base: base.yml\nshape: {type: square}"), Whole).shape == Square()


def test_a_mistake_in_the_base_is_reported_there(tmp_path):
    write(tmp_path, "title: ok\nratoi: 2", "base.yml")
    with pytest.raises(OptionsError, match=r"base\.yml:2: ratoi"):
        load(write(tmp_path, "base: base.yml"), Whole)


def test_bases_that_go_in_a_circle_are_refused(tmp_path):
    write(tmp_path, "base: b.yml", "a.yml")
    write(tmp_path, "base: a.yml", "b.yml")
    with pytest.raises(OptionsError, match="leads back"):
        load(tmp_path / "a.yml", Whole)


def test_overrides_are_typed_and_reach_into_lists_and_unset_sections(tmp_path):
    path = write(tmp_path, "parts: [{name: a}]")
    options = load(path, Whole, ["parts.0.count=7", "shape.type=circle", "ratio=1e-3", "pair=[3, 4]"])
    assert (options.parts[0].count, options.shape, options.ratio, options.pair) == (
        7,
        Circle(),
        1e-3,
        (3.0, 4.0),
    )


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("parts.0.cuont=7", "command line: parts.0.cuont: unknown key; did you mean 'count'?"),
        ("parts.3.count=7", "parts is a list of 1"),
        ("ratio.deep=1", "ratio is a single value"),
        ("ratio", "dotted.key=value"),
        ("=3", "dotted.key=value"),
        ("ratio=word", "command line: ratio: expected a valid number, got 'word'"),
        ("ratio=[1", "command line: ratio:1: not valid YAML"),
        ("ratio=.nan", "command line: ratio: expected a finite number, got nan"),
        ("ratio=.inf", "command line: ratio: expected a finite number, got inf"),
        ("parts.².count=7", "parts is a list of 1; expected a place from 0 to 0, got '²'"),
    ],
)
def test_bad_overrides_are_refused(tmp_path, override, what):
    path = write(tmp_path, "ratio: 1\nparts: [{name: a}]")
    with pytest.raises(OptionsError) as error:
        load(path, Whole, [override])
    assert what in str(error.value)


def test_alias_bombs_are_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(OptionsError, match="not an options file"):
        load(write(tmp_path, "\n".join(lines)), Whole)


def test_resolved_options_read_back_the_same(tmp_path):
    options = Whole(title="ä: #", parts=(Part(name="no", folder=Path("x/y")),), shape=Circle(radius=2.5))
    assert load(write(tmp_path, to_yaml(options)), Whole) == options


def test_differences_name_changed_keys():
    before, after = Whole(parts=(Part(name="a"),)), Whole(ratio=0.25, parts=(Part(name="b"), Part(name="c")))
    lines = differences(to_yaml(before), to_yaml(after))
    assert "ratio: 0.5 → 0.25" in lines and "parts.0.name: 'a' → 'b'" in lines
    assert "parts.1.name: not there → 'c'" in lines


def test_all_keys_reach_into_lists_and_unions():
    assert {"ratio", "shape.radius", "shape.side", "parts.0.count"} <= set(all_keys(Whole))


def test_missing_and_binary_files_are_user_errors(tmp_path):
    with pytest.raises(UserError, match="no such options file"):
        load(tmp_path / "none.yml", Whole)
    with pytest.raises(UserError, match=r"long\.yml: more than 1 MiB"):
        load(write(tmp_path, "title: " + "ä" * (1 << 20), "long.yml"), Whole)
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "binary.yml", Whole)


@given(st.text(alphabet=string.printable, max_size=80))
def test_any_text_is_options_or_an_options_error(tmp_path_factory, text):
    path = write(tmp_path_factory.getbasetemp(), text, "any.yml")
    try:
        load(path, Whole)
    except OptionsError as error:
        assert "\n" not in str(error)


def test_a_name_that_is_not_utf8_is_said_to_be_none(tmp_path):
    name = b"/photos/caf\xe9".decode("utf-8", "surrogateescape")
    for use in (
        lambda: validate({"title": name}, Whole, "command line"),
        lambda: load(write(tmp_path, "title: a"), Whole, [f"title={name}"]),
    ):
        with pytest.raises(OptionsError, match="line: title: holds the byte 0xe9, which is not UTF-8; rename it"):
            use()


def test_a_path_that_begins_with_a_tilde_is_below_the_home_folder(monkeypatch, tmp_path):
    from data.options import TrainDataOptions

    monkeypatch.setenv("HOME", str(tmp_path))
    values = {"hr": ["~/photos", "other/~"], "prepared": "~/my store", "compressions": ["none"]}
    found = validate(values, TrainDataOptions, "test")
    assert found.prepared == tmp_path / "my store" and found.hr == (tmp_path / "photos", Path("other/~"))


class Shape(Section):
    """What a table of shapes has in common."""

    type: str


class Drawing(Section):
    """A union that is put together from a table."""

    shape: Annotated[Shape, OneOf([Square, Circle])] | None = None
    must: Annotated[Shape, OneOf([Square, Circle])]


def test_one_of_is_the_tagged_union():
    drawn = validate({"shape": {"type": "circle", "radius": 3}, "must": {"type": "square"}}, Drawing, "a")
    assert drawn.shape == Circle(radius=3) and drawn.must == Square()
    assert yaml.safe_load(to_yaml(drawn))["shape"] == {"type": "circle", "radius": 3.0}
    assert {"shape.radius", "shape.side", "must.radius", "must.side"} <= set(all_keys(Drawing))
    assert validate({"must": {"type": "square"}}, Drawing, "a").shape is None


@pytest.mark.parametrize(
    ("must", "message"),
    [
        ({"type": "cube"}, "must: type: expected one of 'square', 'circle', got 'cube'"),
        ({"radius": 1}, "must: expected a section with a 'type'"),
        ({"type": "circle", "radus": 1}, "must.radus: unknown key; did you mean 'radius'?"),
    ],
)
def test_mistakes_in_one_of_are_those_of_a_tagged_union(must, message):
    with pytest.raises(OptionsError) as caught:
        validate({"must": must}, Drawing, "a")
    assert str(caught.value) == f"a: {message}"
