"""The step that makes a training fail on purpose."""

from pathlib import Path

import torch

from benchmarks.accept.step import Context
from benchmarks.accept.training.faults import faults


def test_a_loss_that_is_not_finite_is_made_and_noticed(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    row = next(faults(Context(torch.device("cpu"), Path("unused"), own, seconds=60.0)))
    assert row.verdict == "passed", row.values
