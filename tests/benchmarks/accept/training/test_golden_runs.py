"""The golden runs can fail."""

import shutil
from pathlib import Path

import numpy as np
import torch

from benchmarks.accept.training.golden_runs import golden_run

GOLDEN = Path(__file__).parents[3] / "golden"


def test_golden_trainings_notice_another_run(tmp_path):
    golden = tmp_path / "golden"
    (golden / "training").mkdir(parents=True)
    fixture = dict(np.load(GOLDEN / "training" / "cisrnet_coarse_x2.npz"))
    shutil.copy(GOLDEN / str(fixture["init_file"]), golden)
    fixture["losses"] = fixture["losses"] * (1 + 1e-6)
    np.savez(golden / "training" / "cisrnet_coarse_x2.npz", **fixture)
    found = golden_run("CISRNet, coarse", golden, tmp_path, torch.device("cpu"), torch.float64)
    assert 0.9e-6 < found.losses < 1.1e-6 and found.last < 1e-12
    assert torch.get_default_dtype() == torch.float32 and torch.Tensor.float(torch.ones(1)).dtype == torch.float32
