"""The images whose restoring is timed."""

import pytest

from benchmarks.accept import restore_speed


def test_photographs_of_any_size():
    assert restore_speed.photograph(600).shape == (20, 30, 3)
    large = restore_speed.photograph(1_500_000)
    assert large.shape[0] * large.shape[1] == pytest.approx(1_500_000, rel=0.01)
