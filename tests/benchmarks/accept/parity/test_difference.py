"""Differences of outputs."""

import torch

from benchmarks.accept.parity.difference import apart


def test_not_finite_is_infinitely_apart():
    assert apart(torch.tensor([float("nan")]), torch.zeros(1)) == float("inf")
    assert apart(torch.tensor([1020.0]), torch.tensor([510.0])) == 255
