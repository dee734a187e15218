"""utils.nclx: what an AVIF file says of its colours."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from utils.nclx import nclx_of


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def avif(primaries: int, transfer: int) -> bytes:
    colr = box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 6, 128))
    meta = box(b"meta", bytes(4) + box(b"hdlr", bytes(20)) + box(b"iprp", box(b"ipco", box(b"ispe", bytes(12)) + colr)))
    return box(b"ftyp", b"avif" + bytes(8)) + meta + box(b"mdat", b"\1\2\3")


@pytest.mark.parametrize("said", [(12, 13), (9, 16), (1, 13)])
def test_primaries_and_transfer(said):
    assert nclx_of(io.BytesIO(avif(*said))) == said


def test_a_file_of_pillows():
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "AVIF")
    assert nclx_of(file) == (1, 13)
    assert nclx_of(io.BytesIO(b"")) is None and nclx_of(io.BytesIO(bytes(100))) is None


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_is_none_or_two_numbers(data):
    whole = bytearray(avif(9, 16))
    for _ in range(data.draw(st.integers(0, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = nclx_of(io.BytesIO(whole[: data.draw(st.integers(0, len(whole)))]))
    assert found is None or len(found) == 2
