"""The images whose restoring is timed."""

import time
from types import SimpleNamespace

import pytest
import torch

from benchmarks.accept import restore_speed
from benchmarks.accept.step import Context


def test_photographs_of_any_size():
    assert restore_speed.photograph(600).shape == (20, 30, 3)
    large = restore_speed.photograph(1_500_000)
    assert large.shape[0] * large.shape[1] == pytest.approx(1_500_000, rel=0.01)


@pytest.mark.parametrize(("per_second", "pixels"), [(4e5, 4e5), (8e9, 4e6), (1e4, 6144)])
def test_an_image_is_as_large_as_the_time_allows_or_the_one_that_told_the_speed(monkeypatch, per_second, pixels):
    def seconds(_, image):
        return 4 * image.shape[0] * image.shape[1] / per_second

    monkeypatch.setattr(restore_speed, "_seconds", seconds)
    made, took = restore_speed._measured(lambda image: image, 2, 32 * 48, 4e6, 1.0)
    assert made == pytest.approx(pixels, rel=0.01) and took == pytest.approx(pixels / per_second, rel=0.01)


def test_a_network_for_which_no_time_is_left_does_not_keep_the_others_from_their_turn(monkeypatch, tmp_path):
    clock = [0.0]
    seconds = {"fast": 1, "slow": 8}
    cards = [SimpleNamespace(name=name, path=name, scale=1) for name in ("slow", "fast")]

    def measured(restorer, *_):
        clock[0] += seconds[restorer.name]
        return 1000, seconds[restorer.name]

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(restore_speed, "cards", lambda: cards)
    monkeypatch.setattr(restore_speed, "_restorer", lambda path, *_: SimpleNamespace(name=path, tiles=1))
    monkeypatch.setattr(restore_speed, "_measured", measured)
    context = Context(torch.device("cpu"), tmp_path, tmp_path, 12.0, began=0.0)
    rows = [(row.case, row.verdict) for row in restore_speed.shipped(context)]
    assert rows == [
        ("slow, fp32", "stated"), ("fast, fp32", "stated"), ("slow, bf16", "not run"), ("fast, bf16", "stated"),
    ]  # fmt: skip
