"""utils.exif: what lasts is kept byte for byte, whatever its letters are; nothing outside the block is believed."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from utils.exif import MOST, ExifError, lasting_exif

NAME = "© 2024 Zoë Müller".encode()


def block(order: str, main: dict[int, tuple[int, int, bytes]], **more: dict[int, tuple[int, int, bytes]]) -> bytes:
    """A TIFF structure by hand; `more`: directories by the names `details` and `place`."""
    where = {"details": 0x8769, "place": 0x8825}
    body = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", 8)

    def directory(entries, place):
        table, behind = struct.pack(f"{order}H", len(entries)), b""
        start = place + 2 + 12 * len(entries) + 4
        for tag, (kind, count, value) in sorted(entries.items()):
            inside = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}L", start + len(behind))
            behind += value if len(value) > 4 else b""
            table += struct.pack(f"{order}HHL", tag, kind, count) + inside
        return table + bytes(4) + behind

    main = dict(main) | {where[name]: (4, 1, bytes(4)) for name in more}
    for name, entries in more.items():
        main[where[name]] = (4, 1, struct.pack(f"{order}L", len(body) + len(directory(main, 8))))
        behind = directory(entries, struct.unpack(f"{order}L", main[where[name]][2])[0])
        return body + directory(main, 8) + behind
    return body + directory(main, 8)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tag", [270, 271, 315, 33432, 0x9C9D])
def test_text_of_any_letters_is_kept(order, tag):
    kept, lost = lasting_exif(io.BytesIO(block(order, {tag: (2, len(NAME) + 1, NAME + b"\0"), 274: (3, 1, b"\6\0")})))
    assert NAME in kept and lost == 0
    read = Image.Exif()
    read.load(kept)
    assert set(read) == {tag}  # no orientation
    assert lasting_exif(io.BytesIO(kept)) == (kept, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", ["details", "place"])
def test_directories_that_are_pointed_to(order, name):
    inner = {0x9286 if name == "details" else 0x001C: (7, len(NAME), NAME), 0x927C: (7, 6, b"secret")}
    kept, _ = lasting_exif(io.BytesIO(block(order, {271: (2, 4, b"abc\0")}, **{name: inner})))
    read = Image.Exif()
    read.load(kept)
    found = read.get_ifd(0x8769 if name == "details" else 0x8825)
    assert NAME in found.values() and read[271] == "abc"
    assert (0x927C in found) == (name == "place")  # maker's notes are of the details


def test_a_tiff_file_gives_what_its_pages_say(tmp_path):
    Image.new("L", (300, 300)).save(tmp_path / "a.tif", tiffinfo={315: "AAAAAAAAAAAAAAAAA", 33432: "B"})
    data = (tmp_path / "a.tif").read_bytes().replace(b"A" * len(NAME), NAME[:17] + NAME[17:])
    data = data if NAME in data else data.replace(b"A" * 17, NAME[:17])
    kept, lost = lasting_exif(io.BytesIO(data))
    assert NAME[:17] in kept and lost == 0 and len(kept) < 200  # no strips


def test_bigtiff_gives_a_block_that_any_program_reads():
    entries = [(315, 2, len(NAME), 200), (271, 2, 4, int.from_bytes(b"abc\0", "little"))]
    table = struct.pack("<Q", 2) + b"".join(struct.pack("<HHQQ", *entry) for entry in sorted(entries))
    data = (b"II" + struct.pack("<HHHQ", 43, 8, 0, 16) + table).ljust(200, b"\0") + NAME
    kept, _ = lasting_exif(io.BytesIO(data))
    read = Image.Exif()
    read.load(kept)
    assert NAME in kept and read[271] == "abc"


def test_damaged_entries_cost_themselves_alone_and_are_counted():
    data = block("<", {270: (2, len(NAME), NAME), 315: (2, 1 << 31, b"far away"), 305: (99, 1, b"odd")})
    kept, lost = lasting_exif(io.BytesIO(data))
    assert NAME in kept and lost == 2
    assert lasting_exif(io.BytesIO(block("<", {274: (3, 1, b"\6\0")}))) == (None, 0)


def test_what_is_too_long_or_no_structure_is_refused():
    with pytest.raises(ExifError, match="too long"):
        lasting_exif(io.BytesIO(block("<", {270: (2, MOST + 1, bytes(MOST + 1))})))
    for data in (b"", b"II*\0", b"JUNKJUNKJUNK", b"II*\0\xff\xff\xff\xff"):
        with pytest.raises(ExifError, match="damaged"):
            lasting_exif(io.BytesIO(data))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_damage_gives_a_block_or_an_error(data):
    whole = bytearray(block(">", {270: (2, len(NAME), NAME)}, details={0x9286: (7, len(NAME), NAME)}))
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        kept, _ = lasting_exif(io.BytesIO(whole[: data.draw(st.integers(0, len(whole)))]))
    except ExifError:
        return
    assert kept is None or (len(kept) <= MOST and lasting_exif(io.BytesIO(kept))[1] == 0)
