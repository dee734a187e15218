"""The command: its mistakes, its files, its status."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.accept.__main__ import main
from benchmarks.accept.results import Row
from benchmarks.accept.steps import STEPS
from utils.errors import UserError

GOLDEN = Path(__file__).parents[2] / "golden"


def test_the_command_writes_rows_and_a_page_and_fails_where_a_golden_file_was_altered(tmp_path):
    golden = tmp_path / "golden"
    shutil.copytree(GOLDEN, golden, ignore=shutil.ignore_patterns("matlab", "training"))
    path = golden / "metrics.npz"
    values = dict(np.load(path))
    values["psnr_y1"] = values["psnr_y1"] + 0.5
    np.savez(path, **values)
    output = tmp_path / "out"
    arguments = ["--device", "cpu", "--minutes", "4", "--steps", "metrics", "nonlocal", "--output", str(output)]
    assert main([*arguments, "--golden", str(golden)]) == 1
    rows = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    failed = [row for row in rows if row["verdict"] == "failed"]
    assert [(row["step"], row["case"]) for row in failed] == [("metrics", "recorded pair 1")]
    assert sum(row["verdict"] == "passed" for row in rows) >= 6
    text = (output / "accept.md").read_text()
    assert "**Not accepted: 1 of" in text and "✗ FAILED" in text and "## Parity" in text
    assert "- Metrics: recorded pair 1: PSNR of Y, dB 0.5, SSIM of Y " in text and "(wanted: ≤ 0.0001)" in text
    with pytest.raises(UserError, match=r"accept\.md: is there already; --overwrite"):
        main(arguments)
    assert (output / "accept.md").read_text() == text


def test_ctrl_c_leaves_a_page_that_says_what_did_not_run(tmp_path, monkeypatch):
    def interrupted(steps, settings, seconds, report, machine):
        report(Row("one", {}, "passed", step=steps[0].name))
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.accept.runner.run_steps", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["--device", "cpu", "--steps", "metrics", "tiles", "--output", str(tmp_path)])
    assert (
        "**Not finished: the 1 checks that were made passed.** Not run: Restoring in tiles."
        in (tmp_path / "accept.md").read_text()
    )


def test_steps_have_names_of_their_own():
    names = {s.name for s in STEPS}
    assert len(names) == len(STEPS) and not names & {s.group for s in STEPS}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "speed"], "--steps speed: not known; there are golden_outputs"),
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--minutes", "nan"], "--minutes nan: must be above 0"),
        (["--golden", "docs"], "--golden docs: holds no golden files"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(arguments, message, tmp_path):
    with pytest.raises(UserError, match=message):
        main(["--device", "cpu", "--output", str(tmp_path / "out"), *arguments])
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is here")
def test_without_cuda_the_message_names_the_cpu(tmp_path):
    with pytest.raises(UserError, match="use --device cpu"):
        main(["--output", str(tmp_path / "out")])
