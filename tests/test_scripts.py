"""Through the shell scripts, as a user does: the quick start end to end, and every mistake one line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHORT = [f"stages.{n}.{key}" for n in (0, 1) for key in ("iterations=6", "log_every=3", "batch_size=4")]


def run(*command, **environment):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def one_line(done, *parts):
    """A user's mistake: one line on stderr with these parts, status 2, no traceback."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    for part in parts:
        assert str(part) in lines[0], lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The quick start, shortened, by `bash train.sh`; the folder of its runs."""
    root = tmp_path_factory.mktemp("runs")
    done = run("bash", "train.sh", f"root={root}", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "held-out jpeg10" in done.stderr and "bicubic" in done.stderr
    return root


def test_the_quick_start_trains_both_stages(trained):
    for stage in ("coarse", "refine"):
        folder = trained / "quickstart_cisrnet_x2" / stage
        for file in ("best.safetensors", "last.safetensors", "checkpoints/00000006.pt", "options.yml", "train.log"):
            assert (folder / file).is_file(), file
        assert list((folder / "tensorboard").iterdir())


def test_eval_prints_and_writes_the_held_out_table(trained, tmp_path):
    weights = trained / "quickstart_cisrnet_x2/refine/best.safetensors"
    done = run("bash", "eval.sh", f"results={tmp_path}", f"models.1.weights={weights}")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "quickstart"
    table = (folder / "table.md").read_text()
    assert "convention `matlab`, border 2" in table and "convention matlab, border 2" in done.stdout
    start, end = r"(?:\*\*|<u>)?", r"(?:\*\*|</u>)?"
    figures = rf"\|(?: +\d\.\d{{3}} \|| +\|) +{start}\d+\.\d{{3}}{end} \| +{start}-?0\.\d{{4}}{end} \|"
    models = ("Bicubic", r"CISRNet \(quick start\)", r"CISRNet \(compact\)", r"CISR-PSI \(compact\)")
    for row in models:  # a row at each compression and the mean; the best is marked in the file alone
        assert len(re.findall(rf"\| {row} +{figures}", table)) == 4
        assert len(re.findall(rf" {row} .* \d+\.\d{{3}} +-?0\.\d{{4}}$", done.stdout, re.M)) == 4
    assert table.count("**0.") >= 4 and "**0." not in done.stdout
    assert len((folder / "images.csv").read_text().splitlines()) == 1 + 2 * 4 * 3
    assert len((folder / "average.csv").read_text().splitlines()) == 1 + 4 * 4
    assert len(list((folder / "images").rglob("*.png"))) == 24
    assert (folder / "report.html").stat().st_size < 20e6
    # Nobody has trained here but these six iterations, and the networks that ship still beat bicubic.
    rows = [row.split(",") for row in (folder / "average.csv").read_text().splitlines()]
    means = {row[0]: float(row[4]) for row in rows if row[2] == "mean"}
    assert min(means["CISRNet (compact)"], means["CISR-PSI (compact)"]) > means["Bicubic"] + 0.3


def test_a_model_that_is_not_there_yet_is_a_row_that_says_so(tmp_path):
    one = ("datasets.0.compressions=[jpeg10]", "report=false")
    done = run("bash", "eval.sh", f"results={tmp_path}", f"models.1.weights={tmp_path}/none.safetensors", *one)
    assert done.returncode == 0
    assert re.search(r"CISRNet \(quick start\) +not trained yet +–", done.stdout)
    assert f"{tmp_path}/none.safetensors is not there" in done.stderr


def test_a_second_run_refuses_and_a_resume_goes_on(trained):
    one_line(run("bash", "train.sh", f"root={trained}", *SHORT), "holds a run with checkpoints", "--resume auto")
    longer = [option.replace("iterations=6", "iterations=8") for option in SHORT]
    done = run("bash", "train.sh", "--resume", "auto", f"root={trained}", *longer)
    assert done.returncode == 0, done.stderr
    assert "resuming from" in done.stderr and "changed since: stages.1.iterations: 6 → 8" in done.stderr
    assert (trained / "quickstart_cisrnet_x2/refine/checkpoints/00000008.pt").is_file()


def test_check_looks_at_everything_and_writes_nothing(tmp_path):
    done = run("bash", "train.sh", "--check", f"root={tmp_path}/runs")
    assert done.returncode == 0, done.stderr
    for part in (
        "102,624 parameters",
        "GFLOPs per 32×32 LR patch",
        "8 images",
        "stage        refine",
        "patch_size: 32",
    ):
        assert part in done.stdout, part
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["options/none.yml"], ["options/none.yml", "no such options file"]),
        (["data.train.patchsize=32"], ["data.train.patchsize", "did you mean 'patch_size'?"]),
        (["stages.0.iterations=many"], ["stages.0.iterations", "integer", "'many'"]),
        (["data.validation.0.scale=4"], ["data.validation.0.scale is 4", "generator.scale is 2"]),
        (["data.train.hr=datasets/nowhere"], ["datasets/nowhere"]),
        (["stages.0.init=weights.pth"], ["weights.pth", "no such weight file"]),
        (["options/cisrnet/x2.yml", "data.train.hr=none/DIV2K/DIV2K_train_HR"], ["none/DIV2K", "data.download div2k"]),
        (["runtime.device=cuda"], ["runtime.device is cuda"]),
        (["--resume", "nothing.pt"], ["nothing.pt", "no such checkpoint"]),
    ],
)
def test_mistakes_are_one_line_each(tmp_path, arguments, parts):
    files = [argument for argument in arguments if argument.endswith(".yml")]
    others = [argument for argument in arguments if not argument.endswith(".yml")]
    one_line(run("bash", "train.sh", *files, *others, f"root={tmp_path}/runs"), *parts)


def test_a_corrupt_image_is_named(tmp_path, photo_folder):
    hr = tmp_path / "hr"
    hr.mkdir()
    for path in photo_folder.iterdir():
        (hr / path.name).write_bytes(path.read_bytes())
    (hr / "coffee.png").write_bytes((photo_folder / "coffee.png").read_bytes()[:3000])
    done = run("bash", "train.sh", f"root={tmp_path}/runs", f"data.train.hr={hr}", *SHORT)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert str(hr / "coffee.png") in done.stderr and "1 of 3 images could not be prepared" in done.stderr


def test_a_checkpoint_of_another_scale_is_refused(trained, tmp_path):
    weights = trained / "quickstart_cisrnet_x2/refine/best.safetensors"
    done = run("bash", "train.sh", f"root={tmp_path}", f"stages.0.init={weights}", "generator.scale=3", *SHORT)
    one_line(done, weights, "written for scale 2")
    one_line(run("bash", "eval.sh", "scale=3", "models.0.generator.scale=3", f"models.1.weights={weights}"), "scale 2")


def test_a_run_folder_in_use_is_refused(trained):
    import fcntl

    with (trained / "quickstart_cisrnet_x2" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        one_line(run("bash", "train.sh", "--resume", "auto", f"root={trained}", *SHORT), "in use by another process")
