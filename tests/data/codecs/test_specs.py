"""data.codecs: the grammar of compression specs, ranges and draws; mistakes end in one line."""

from decimal import Decimal

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from data.codecs import CodecError, Range, compress, encode, parse
from data.codecs.avif import Avif
from data.codecs.chain import Chain
from data.codecs.hevc import Hevc
from data.codecs.hm import Hm
from data.codecs.jpeg import Jpeg
from data.codecs.nothing import Nothing
from data.codecs.steps import Longest, Resize, Shift
from data.codecs.webp import Webp
from utils.errors import UserError

PHOTO = np.ascontiguousarray(skimage.data.coffee()[100:196, 200:300])  # 96x100
STILL = ["jpeg40", "webp30", "avif50", "none"]
LIMITS = {"jpeg": (1, 100), "webp": (1, 100), "avif": (0, 100), "hevc": (0, 51), "hm": (0, 51)}


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def assert_one_line(error: pytest.ExceptionInfo) -> str:
    assert isinstance(error.value, UserError)
    assert str(error.value).splitlines() == [str(error.value)]
    return str(error.value)


RANGES = ["0.1..1", "0.5..0.909", "1..1.5", "2..4"]


@st.composite
def specs(draw, fixed: bool = False) -> str:
    parts = []
    for name in draw(st.lists(st.sampled_from(sorted(LIMITS)), min_size=1, max_size=3)):
        low, high = sorted(draw(st.tuples(*[st.integers(*LIMITS[name])] * 2)))
        number = f"{low}" if fixed or low == high or draw(st.booleans()) else f"{low}..{high}"
        full = "full" if name in ("hevc", "hm") and draw(st.booleans()) else ""
        chroma = {"jpeg": ["", ":444", ":422", ":400"], "hevc": ["", ":420"], "hm": ["", ":420"]}.get(name, [""])
        step = draw(st.sampled_from(["", "shift", "resize", "longest"]))
        if step == "shift" and parts:
            rows, columns = draw(st.tuples(st.integers(0, 63), st.integers(0, 63)))
            parts.append(f"shift{rows},{columns}" if fixed or not columns else f"shift{rows},0..{columns}")
        elif step == "resize":
            factors = draw(st.sampled_from(["0.1", "0.5", "0.75", "0.909", "1.25", "2", "4"]))
            parts.append("resize" + (factors if fixed or draw(st.booleans()) else draw(st.sampled_from(RANGES))))
        elif step == "longest":
            parts.append(f"longest{draw(st.integers(16, 65_000))}")
        parts.append(name + number + full + draw(st.sampled_from(chroma)))
    return ">".join(parts)


# ---------------------------------------------------------------------------------------------------- specs


@pytest.mark.parametrize(
    ("spec", "codec"),
    [
        ("none", Nothing()),
        ("jpeg10", Jpeg(10)),
        ("jpeg100", Jpeg(100)),
        ("jpeg30:444", Jpeg(30, subsampling="444")),
        ("jpeg5..60:422", Jpeg(Range(5, 60), subsampling="422")),
        ("webp1", Webp(1)),
        ("avif0", Avif(0)),
        ("hevc37", Hevc(37)),
        ("hevc0full", Hevc(0, full_range=True)),
        ("hm37", Hm(37)),
        ("hm22full", Hm(22, full_range=True)),
        ("jpeg10..95", Jpeg(Range(10, 95))),
        ("hevc22..42full", Hevc(Range(22, 42), full_range=True)),
        ("jpeg40>webp30", Chain((Jpeg(40), Webp(30)))),
        ("jpeg30:400", Jpeg(30, subsampling="400")),
        ("hevc37:420", Hevc(37, subsampling="420")),
        ("hm22full:420", Hm(22, full_range=True, subsampling="420")),
        ("jpeg30>shift4,4>jpeg50", Chain((Jpeg(30), Shift(4, 4), Jpeg(50)))),
        ("webp9>shift0..7,3>jpeg50", Chain((Webp(9), Shift(Range(0, 7), 3), Jpeg(50)))),
        ("jpeg80>resize0.5>jpeg70", Chain((Jpeg(80), Resize(Decimal("0.5"), Decimal("0.5")), Jpeg(70)))),
        ("resize0.25..1>jpeg70", Chain((Resize(Decimal("0.25"), Decimal(1)), Jpeg(70)))),
        ("longest1080>jpeg70", Chain((Longest(1080), Jpeg(70)))),
        ("jpeg10..95>webp5..90>jpeg50", Chain((Jpeg(Range(10, 95)), Webp(Range(5, 90)), Jpeg(50)))),
    ],
)
def test_parse(spec, codec):
    assert parse(spec) == codec
    assert str(codec) == spec
    assert codec.is_range == (".." in spec)


@given(specs())
def test_specs_round_trip(spec):
    assert str(parse(spec)) == spec
    assert parse(str(parse(spec))) == parse(spec)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "number"),
        ("jpeg", "number"),
        ("jpeg010", "number"),
        ("jpeg-5", "number"),
        ("jpeg10.5", "number"),
        ("JPEG10", "number"),
        (" jpeg10", "number"),
        ("jpeg10\n", "number"),
        ("jpeg١٠", "number"),
        ("jpeg10>", "number"),
        ("none0", "called none"),
        ("jpg10", "called jpg"),
        ("jpeg0", "1 to 100"),
        ("jpeg101", "1 to 100"),
        ("webp0", "1 to 100"),
        ("hevc52", "0 to 51"),
        ("jpeg0..50", "1 to 100"),
        ("jpeg50..50", "lower to the higher"),
        ("jpeg50..10", "lower to the higher"),
        ("jpeg10full", "no 'full'"),
        ("none>jpeg10", "none stands alone"),
        ("jpeg30:411", "one of 400, 420, 422, 444"),
        ("webp30:444", "webp has none"),
        ("hevc37:422", "one of 444, 420"),
        ("jpeg30>shift4,4", "needs a codec behind"),
        ("resize0.5", "needs a codec behind"),
        ("shift4,4>jpeg30", "right before it"),
        ("jpeg30>resize0.5>shift4,4>jpeg30", "right before it"),
        ("shift4>jpeg30", "number"),
        ("jpeg9>shift64,0>jpeg30", "0 to 63"),
        ("shift5..5,0>jpeg30", "lower to the higher"),
        ("resize1>jpeg30", "1 is none"),
        ("resize0.50>jpeg30", "number"),
        ("resize9>jpeg30", "0.1 to 4"),
        ("resize0.9..0.5>jpeg30", "lower to the higher"),
        ("resize0.5..0.5>jpeg30", "lower to the higher"),
        ("resize0.05..1>jpeg30", "0.1 to 4"),
        ("longest15>jpeg30", "16 to 65000"),
        ("longest512..1024>jpeg30", "number"),
        ("longest512", "needs a codec behind"),
        ("x" * 10_000, "number"),
        (10, "not a text"),
        (None, "not a text"),
        (b"jpeg10", "not a text"),
    ],
)
def test_mistakes_name_what_was_given_and_the_grammar(spec, why):
    with pytest.raises(CodecError) as error:
        parse(spec)
    message = assert_one_line(error)
    assert message.startswith(repr(spec)[:50]) and why in message
    for part in ("none", "jpeg40", "jpeg10..95", "jpeg40>webp30", "hevc37full", *LIMITS):
        assert part in message
    assert len(message) < 500


@settings(max_examples=300)
@given(st.one_of(st.text(), st.text("jpegwbhvcafinoulrszt0123456789.,:>", max_size=18)))
def test_any_text_is_a_spec_or_a_codec_error(text):
    try:
        codec = parse(text)
    except CodecError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert parse(str(codec)) == codec and (":" in text or str(codec) == text)


def test_codecs_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse("jpeg10").quality = 20


# ---------------------------------------------------------------------------------------------------- ranges


def test_draw_reaches_both_ends_and_nothing_else():
    codec, rng = parse("jpeg10..14"), np.random.default_rng(0)
    assert {codec.draw(rng).quality for _ in range(200)} == {10, 11, 12, 13, 14}


def test_draw_of_a_chain_draws_each_and_keeps_the_rest():
    drawn = parse("jpeg10..95>hevc22..42full>webp30").draw(np.random.default_rng(1))
    assert not drawn.is_range
    first, second, third = drawn.steps
    assert 10 <= first.quality <= 95 and 22 <= second.quality <= 42 and second.full_range and third == Webp(30)


@given(specs(fixed=True))
def test_fixed_specs_draw_themselves_and_take_no_randomness(spec):
    rng = np.random.default_rng(3)
    before = rng.bit_generator.state
    codec = parse(spec)
    assert codec.draw(rng) is codec
    assert rng.bit_generator.state == before


@pytest.mark.parametrize("spec", ["jpeg10..95", "jpeg40>webp10..20", "hevc22..42"])
def test_a_range_does_not_encode(spec):
    for use in (encode, compress):
        with pytest.raises(CodecError) as error:
            use(PHOTO, spec)
        assert "draw" in assert_one_line(error)
