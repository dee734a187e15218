"""YAML of options files and of the command line: types by YAML 1.2, nothing costly, nothing that is not plain data."""

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.errors import OptionsError
from utils.options import differences
from utils.options.yaml_text import MAX_WHOLE, parse, parse_value, to_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("020", 20),
        ("08", 8),
        ("-007", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e-4", 1e-4),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.INF", float("-inf")),
        ("no", "no"),
        ("on", "on"),
        ("True", True),
        ("~", None),
        ("", None),
        ("2001-01-01", "2001-01-01"),
        ("1:30", "1:30"),
        ("!!str 5", "5"),
        ("!!float 3", 3.0),
    ],
)
def test_types_are_those_of_yaml_1_2(text, value):
    found = parse(f"a: {text}", "x")[0]["a"]
    assert found == value and type(found) is type(value)


BOMB = "[" + ", ".join(
    ["&a0 [x,x,x,x,x,x,x,x,x,x]"] + [f"&a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
) + "]"  # fmt: skip


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"? {BOMB}\n: v\n", "x:1: .sequence.: keys are plain text"),
        (f"a: 1\n? {{k: {BOMB}}}\n: v\n", "x:2: .mapping.: keys are plain text"),
        (f"a: {BOMB}\n", "more than 100000 values"),
        ("a: &a [*a]\n", "nested too deeply"),
        ("? &a [*a]\n: 1\n", "keys are plain text"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: " + "x" * (1 << 20), "more than 1 MiB"),
        ("a: " + "9" * 5000, "x:1: a: a whole number of more than 64 bits"),
        (f"a: {2**63}", "x:1: a: a whole number of more than 64 bits; put it in quotes"),
        (f"a: -0{2**63}", "more than 64 bits"),
        ("a: 0xfffffffffffffffff", "more than 64 bits"),
        ("a: !!binary aGk=", "x:1: a: the tag !!binary is not for this value"),
        ("a: !!timestamp 2001-01-01", "the tag !!timestamp"),
        ("a: !!set {b, c}", "the tag !!set"),
        ("a: !!omap [b: 1]", "the tag !!omap"),
        ("a: !!int abc", "the tag !!int is not for this value"),
        ("a: !!bool abc", "the tag !!bool"),
        ("a: !!python/name:os.system", "the tag !!python/name:os.system"),
        ("!!binary a: 1", "keys are plain text"),
        ("~: 1", "x:1: ~: keys are plain text"),
        ("b: {<<: {a: 1}}", "keys are plain text"),
        ('a: "b\\0c"', r"x:1: a: holds the character U\+0000"),
        ('"b\\0c": 1', r"holds the character U\+0000"),
        ('a: "\\ud800"', r"holds the character U\+D800"),
        ('a: "\\U00110000"', "not valid YAML"),
        ("a: 1\n---\na: 2", "not valid YAML"),
    ],
)
def test_what_is_not_plain_data_is_refused_at_once(text, what):
    started = time.process_time()
    with pytest.raises(OptionsError, match=what) as error:
        parse(text, "x")
    assert len(str(error.value)) < 200 and "\n" not in str(error.value)
    assert time.process_time() - started < 20  # seconds; a bomb would take hours


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("/data/photos #1", "/data/photos #1"),
        ("a: b", "a: b"),
        ("- a", "- a"),
        ("*x", "*x"),
        ("!!timestamp 2001-01-01", "!!timestamp 2001-01-01"),
        ("a b ", "a b "),
        ("", None),
        ("null", None),
        (" 5 ", 5),
        ("010", 10),
        ("[/a, 1e-4]", ["/a", 1e-4]),
        (' {type: sgd, lr: 1} ', {"type": "sgd", "lr": 1}),
        ('"5"', "5"),
        ("'a #1'", "a #1"),
    ],
)  # fmt: skip
def test_values_of_the_command_line_are_taken_as_typed(typed, value):
    found = parse_value(typed, "x")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("typed", ['"a" #1', "[a] #1", "[2024] photos", '"a": b', "{a: 1}: 2", "'a", "[" * 5000])
def test_values_that_are_quoted_in_part_are_refused(typed):
    with pytest.raises(OptionsError, match="x"):
        parse_value(typed, "x")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(string.ascii_letters, min_size=1), st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_WHOLE, MAX_WHOLE) | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(["010", "0o7", "1e5", "no", "~", "2001-01-01", "1:30", "1_0", "=", " a #b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abn"), inner, max_size=2),
    max_leaves=4,
)))  # fmt: skip
def test_what_is_written_is_read_back(data):
    text = to_text(data)
    if "\\x00" in repr(data):
        with pytest.raises(OptionsError, match=r"U\+0000"):
            parse(text, "x")
    else:
        assert parse(text, "x")[0] == data


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_an_options_error(text):
    for read in (parse, parse_value):
        try:
            read(text, "x")
        except OptionsError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("before", [f"? {BOMB}\n: v\n", "a: !!python/object/apply:os.system [ls]", "{", 5, "- 1", None])
def test_options_out_of_a_checkpoint_are_read_as_carefully(before):
    with pytest.raises(OptionsError, match="the options in the checkpoint"):
        differences(before, "a: 1\n")
