"""Odd, damaged and hostile files through `python test.py restore`: each is restored or named, nothing else happens."""

import argparse
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluation.restoring.restore import add_arguments, main
from models import build_generator
from models.weight_files import export_weights
from utils.images import image_size

SCALE = 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    network = build_generator(
        {"type": "rrdbnet", "scale": SCALE, "num_feat": 4, "num_block": 1, "num_grow_ch": 2, "pixel_unshuffle": False}
    )
    network.start_as_interpolation()
    torch.nn.init.constant_(network.conv_last.bias, 0.001)  # a quarter of an 8-bit level
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    path.write_bytes(export_weights(network, {}))
    return path


def run(*arguments) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_intermixed_args([str(argument) for argument in arguments]))


def saved(pixels, format, **options) -> bytes:
    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, format, **options)
    return file.getvalue()


def good(photo) -> dict[str, bytes]:
    """Files that must come out, by name; all of them 24×31."""
    colour, grey = photo[:24, :31], photo[:24, :31, 1]
    alpha = np.dstack([colour, np.full((24, 31), 128, np.uint8)])
    turned = Image.Exif()
    turned[274] = 6
    return {
        "a.jpg": saved(colour, "JPEG"),
        "progressive.jpeg": saved(colour, "JPEG", progressive=True),
        "b.webp": saved(colour, "WEBP"),
        "c.avif": saved(colour, "AVIF"),
        "d.tif": saved(colour, "TIFF", compression="tiff_lzw"),
        "e.gif": saved(colour, "GIF"),
        "f.bmp": saved(colour, "BMP"),
        "grey.png": saved(grey, "PNG"),
        "bits.png": saved(Image.fromarray(grey > 90), "PNG"),
        "alpha.png": saved(alpha, "PNG"),
        "alpha.webp": saved(alpha, "WEBP"),
        "palette.png": saved(Image.fromarray(colour).quantize(8), "PNG"),
        "cmyk.jpg": saved(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "turned.jpg": saved(colour.swapaxes(0, 1), "JPEG", exif=turned),
        "deep.png": cv2.imencode(".png", colour.astype(np.uint16) * 257)[1].tobytes(),
        "deep grey.tiff": cv2.imencode(".tiff", grey.astype(np.uint16) * 257)[1].tobytes(),
        "wrong suffix.jpg": saved(colour, "PNG"),
        "ünïcode ' name.png": saved(colour, "PNG"),
    }


def hopeless(photo) -> dict[str, bytes]:
    """Files that cannot come out, by name."""
    whole = saved(photo[:24, :31], "PNG")

    def bomb(width: int, height: int, data: bytes = bytes(1000)) -> bytes:
        def chunk(name, data):
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")

    return {
        "empty.jpg": b"",
        "text.jpg": b"this is no photograph\n" * 9,
        "cut.png": whole[: len(whole) // 2],
        "cut.jpg": saved(photo[:24, :31], "JPEG")[:400],
        "bomb.png": bomb(16_000, 16_000, bytes(16_000 * 2001)),
        "wide bomb.png": bomb(60_000, 60_000),
        "deep bomb.png": bomb(2**31 - 1, 2**31 - 1),
        "no pixels.png": bomb(0, 5),
        "float.tif": saved(photo[..., 0].astype(np.float32), "TIFF"),
        "two\nlines.png": b"",
        "page.html.png": b"<html>not found</html>",
    }


def check(source, out, capsys, status) -> tuple[set[str], str]:
    """Every photo has become a whole file or a line; returns the names that came out, and what was said."""
    said = capsys.readouterr().err
    sources = {path.name: path for path in source.iterdir()}
    results = {path.name: path for path in out.iterdir()} if out.exists() else {}
    assert not [name for name in results if name.startswith(".")]
    failed = [line for line in said.splitlines() if line.startswith("failed: ")]
    assert len(results) + len(failed) == len(sources)
    assert status == (1 if failed else 0)
    assert "Traceback" not in said and len({line.split(": ")[1] for line in failed}) == len(failed)
    for path in results.values():
        Image.open(path).load()
    return set(results), said


def test_each_good_kind_comes_out_and_each_hopeless_one_is_named(tmp_path, photos, weights, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    files = {**good(photos["coffee"]), **hopeless(photos["coffee"])}
    for name, data in files.items():
        (source / name).write_bytes(data)
    status = run(source, "--output", out, "--weights", weights)
    results, said = check(source, out, capsys, status)
    assert len(results) == len(good(photos["coffee"])) and status == 1
    for path in out.iterdir():
        assert image_size(path) == (48, 62), path
    for name in hopeless(photos["coffee"]):
        assert " ".join(str(source / name).split()) in said
    assert "--max-megapixels 200" in said
    modes = {path.stem: Image.open(path).mode for path in out.iterdir()}
    assert modes["grey"] == "L" and modes["alpha_png"] == "RGBA" and modes["deep grey"] == "I;16"
    deep = cv2.imread(str(out / "deep.png"), cv2.IMREAD_UNCHANGED)
    expected = photos["coffee"][:24, :31].repeat(2, 0).repeat(2, 1) * 257.0 + 65.5
    assert np.abs(deep - expected.clip(max=65535)).max() <= 1  # restored in 16 bits, not only saved so


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_tiny_and_thin_photos(tmp_path, weights, size):
    Image.fromarray(np.full((*size, 4), 77, np.uint8)).save(tmp_path / "tiny.png")
    assert run(tmp_path / "tiny.png", "--output", tmp_path / "out", "--weights", weights) == 0
    assert image_size(tmp_path / "out/tiny.png") == (size[0] * SCALE, size[1] * SCALE)


def test_the_limit_counts_what_comes_out(tmp_path, photos, weights, capsys):
    Image.fromarray(photos["coffee"][:50, :100]).save(tmp_path / "photo.png")
    arguments = tmp_path / "photo.png", "--output", tmp_path / "out", "--weights", weights, "--max-megapixels"
    assert run(*arguments, 0.019) == 1
    assert "photo.png: 100x50 pixels, 200x100 restored, more than --max-megapixels 0.019" in capsys.readouterr().err
    assert run(*arguments, 0.02) == 0


def test_what_cannot_be_written_is_named_and_the_rest_goes_on(tmp_path, photos, weights, capsys):
    for name in ("a", "b"):
        Image.fromarray(photos["coffee"][:8, :8]).save(tmp_path / f"{name}.bmp")
    out = tmp_path / "out"
    (out / "a.png").mkdir(parents=True)
    inputs = tmp_path / "a.bmp", tmp_path / "b.bmp"
    assert run(*inputs, "--output", out, "--weights", weights, "--overwrite") == 1
    done = capsys.readouterr()
    assert "failed: " in done.err and "a.png: cannot be written" in done.err and "restored 1, failed 1" in done.out
    assert image_size(out / "b.png") == (16, 16)
    Image.fromarray(np.zeros((1, 9000, 3), np.uint8)).save(tmp_path / "wide.png")
    assert run(tmp_path / "wide.png", "--output", out, "--weights", weights, "--format", "webp") == 1
    assert "18000x2 pixels restored, webp ends at 16383" in capsys.readouterr().err


def test_two_hundred_damaged_files_in_one_run(tmp_path, photos, weights, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    rng = np.random.default_rng(0)
    whole = list(good(photos["chelsea"]).items())
    for n in range(200):
        name, data = whole[n % len(whole)]
        damaged = bytearray(data)
        for position in rng.integers(0, min(len(data), 600), rng.integers(1, 6)):
            damaged[position] = rng.integers(0, 256)
        if n % 5 == 0:
            damaged = damaged[: rng.integers(1, len(damaged))]
        (source / f"{n:03} {name}").write_bytes(damaged)
    status = run(source, "--output", out, "--weights", weights, "--max-megapixels", 0.1)
    results, _ = check(source, out, capsys, status)
    assert status == 1 and len(results) > 20  # some bytes do not matter


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_restored_or_named(tmp_path, photos, weights, capsys, data):
    name, whole = data.draw(st.sampled_from(sorted(good(photos["astronaut"]).items())))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    out = tmp_path / "out"
    status = run(tmp_path / name, "--output", out, "--weights", weights, "--overwrite", "--max-megapixels", 0.1)
    said = capsys.readouterr()
    assert (f"restored {1 - status}" in said.out) and (f"failed: {tmp_path / name}: " in said.err) == bool(status)
