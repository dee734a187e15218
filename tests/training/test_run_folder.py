"""Checkpoints: whole or not there, checked when read, kept as asked."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.run_folder import CheckpointError, RunFolder, read_checkpoint
from utils import files
from utils.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run" / "stage")
    folder.make()
    return folder


def adam(averages=None, **settings):
    entry = {"step": torch.tensor(1.0), "exp_avg": torch.zeros(1000), "exp_avg_sq": torch.zeros(1000)}
    group = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "fused": None, "params": [0], **settings}
    return {"generator": {"state": {0: entry} if averages is None else averages, "param_groups": [group]}}


def state(iteration):
    return {
        "stage": "s",
        "iteration": iteration,
        "networks": {"generator": {"w": torch.full((1000,), float(iteration))}},
        "optimizers": adam(),
        "ema": None,
        "scaler": None,
        "random": {"cpu": torch.get_rng_state()},
        "ranking": [[30.5, iteration]],
        "options": "name: x\nstages: [{name: s, iterations: 100}]\n",
    }


def test_what_is_saved_is_read(folder):
    path = folder.save(state(5), keep=2, keep_every=None)
    assert torch.equal(read_checkpoint(path)["networks"]["generator"]["w"], torch.full((1000,), 5.0))


def test_the_newest_and_every_nth_are_kept(folder):
    for iteration in range(1, 11):
        folder.save(state(iteration), keep=2, keep_every=4)
    assert folder.iterations() == [4, 8, 9, 10]


def test_a_run_taken_back_keeps_what_it_writes(folder):
    for iteration in (10, 20, 30):
        folder.save(state(iteration), keep=3, keep_every=None)
    for iteration in (11, 12, 13):
        folder.save(state(iteration), keep=2, keep_every=None)
        assert iteration in folder.iterations()


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.write_bytes(path.read_bytes()[:50]),
    lambda path: path.write_bytes(b""),
    lambda path: _flip(path, 2000),
    lambda path: torch.save({"format": 0}, path),
])  # fmt: skip
def test_a_damaged_newest_gives_way_to_the_one_before(folder, damage):
    folder.save(state(1), keep=3, keep_every=None)
    damage(folder.save(state(2), keep=3, keep_every=None))
    newest, damaged = folder.newest()
    assert newest["iteration"] == 1
    assert len(damaged) == 1 and "00000002.pt" in damaged[0]


def test_a_checkpoint_under_the_name_of_another_iteration_is_not_the_newest(folder):
    for iteration in (1, 2):
        folder.save(state(iteration), keep=3, keep_every=None)
    folder.checkpoint(1).rename(folder.checkpoint(9))
    newest, damaged = folder.newest()
    assert newest["iteration"] == 2
    assert damaged == [f"{folder.checkpoint(9)}: holds iteration 1; name it 00000001.pt, or remove it"]
    folder.checkpoint(2).unlink()
    assert folder.newest() == (None, damaged)
    folder.checkpoint(9).rename(folder.checkpoints / "00000001.pt")  # as the line says
    assert folder.newest()[0]["iteration"] == 1


@pytest.mark.parametrize(("part", "value"), [
    ("stage", ["s"]), ("iteration", "2"), ("iteration", -5), ("iteration", float("nan")), ("iteration", None),
    ("networks", [1]), ("networks", {"generator": {"w": 1}}), ("networks", {"generator": {1: torch.zeros(1)}}),
    ("optimizers", {"generator": {"state": {}}}), ("optimizers", {"generator": {"state": {}, "param_groups": [{}]}}),
    ("ema", "x"), ("scaler", 5), ("random", {}), ("random", {"cpu": [1]}),
    ("ranking", "abc"), ("ranking", [[1]]), ("ranking", [["a", 2]]), ("validated", "x"), ("images", {"count": "x"}),
    ("options", 5), ("budget", {"minutes": 1.0}), ("options", "{"), ("options", "stages: []"),
    ("stage", "other"), ("iteration", 101), ("iteration", 10**9), ("validated", 3),
    ("networks", {"generator": {"w": torch.zeros(1, device="meta")}}),
    ("ema", {"w": torch.tensor([1.0, float("nan")])}),
    ("ranking", [[float("nan"), 2]]), ("ranking", [[30.0, 3]]), ("ranking", [[30.0, 1.5]]), ("ranking", [[30.0, -1]]),
    ("ranking", [[30.0, 2]] * 2), ("ranking", [[30.0, place] for place in range(10**5)]),
    ("optimizers", adam({})), ("optimizers", adam(betas="ab")), ("optimizers", adam(betas=None, momentum=0.9)),
    ("optimizers", adam(eps="x")), ("optimizers", adam({0: {"step": torch.tensor(1.0)}})),
    ("optimizers", adam({7: adam()["generator"]["state"][0]})),
    *[("optimizers", adam({0: {**adam()["generator"]["state"][0], "step": torch.tensor(step)}}))
      for step in (-1.0, 0.5, float("nan"), [1.0, 1.0])],
])  # fmt: skip
def test_a_checkpoint_of_another_form_gives_way_too(folder, part, value):
    folder.save(state(1), keep=3, keep_every=None)
    torch.save({"format": 1, **state(2), part: value}, folder.checkpoint(2))
    newest, damaged = folder.newest()
    assert newest["iteration"] == 1
    assert len(damaged) == 1 and "00000002.pt: altered, or by another program (" in damaged[0]
    named = "options" if part == "stage" and isinstance(value, str) else part
    assert f"({named}" in damaged[0]


@pytest.mark.parametrize(("part", "value"), [
    ("iteration", 100), ("ranking", [[float("inf"), 2], [30.0, 0]]), ("optimizers", adam({}, betas=None, momentum=0.0)),
    ("scaler", {"scale": 65536.0, "_growth_tracker": 0}),
])  # fmt: skip
def test_what_a_run_can_come_to_is_taken(folder, part, value):
    path = folder.save({**state(2), part: value}, keep=2, keep_every=None)
    assert read_checkpoint(path)[part] == value


def test_weights_that_are_not_finite_are_no_checkpoint(folder):
    networks = {"generator": {"w": torch.zeros(3), "count": torch.tensor(2)}, "judge": {"v": torch.tensor([0.0])}}
    path = folder.save({**state(2), "networks": networks}, keep=2, keep_every=None)
    assert read_checkpoint(path)["networks"].keys() == networks.keys()
    networks["judge"]["v"].fill_(float("inf"))
    folder.save({**state(2), "networks": networks}, keep=2, keep_every=None)
    with pytest.raises(CheckpointError, match=r"\(judge: v holds numbers that are not finite\)"):
        read_checkpoint(path)


def test_by_the_clock_more_iterations_than_the_stage_has_can_be_done(folder):
    budget = {"minutes": 1.0, "elapsed": 30.0, "ending": None, "place": 50}
    assert read_checkpoint(folder.save({**state(500), "budget": budget}, 2, None))["iteration"] == 500


def test_without_averages_before_the_first_iteration_and_while_fp16_settles(folder):
    for changes in ({"iteration": 0, "ranking": []}, {"scaler": {"scale": 65536.0}}):
        folder.save({**state(1), "optimizers": adam({}), **changes}, keep=2, keep_every=None)
    assert folder.iterations() == [0, 1] and folder.newest()[0]["iteration"] == 1


@pytest.mark.parametrize("part", ["stage", "iteration", "networks", "optimizers", "random", "ranking", "options"])
def test_a_checkpoint_that_lacks_a_part_is_refused(folder, part):
    whole = {"format": 1, **state(2)}
    del whole[part]
    torch.save(whole, folder.checkpoint(2))
    with pytest.raises(CheckpointError, match=rf"00000002\.pt: altered, .*\({part}: Field required\)"):
        read_checkpoint(folder.checkpoint(2))


def _flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_without_a_whole_checkpoint_there_is_none(folder):
    assert folder.newest() == (None, [])
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(folder.checkpoint(3))


def test_the_best_are_ranked_and_the_rest_removed(folder):
    ranking = []
    for iteration, score in enumerate([20.0, 25.0, 22.0, 25.0, 26.0], start=1):
        ranking.append([score, iteration])
        ranking = folder.save_best(f"weights {iteration}".encode(), iteration, ranking, keep=2)
        if iteration == 4:  # as good as iteration 2: the earlier one stays the best
            assert folder.best.read_text() == "weights 2"
    assert ranking == [[26.0, 5], [25.0, 2]]
    assert folder.best.read_text() == "weights 5"
    assert sorted(path.stem for path in (folder.folder / "best").iterdir()) == ["00000002", "00000005"]


def test_a_full_disk_leaves_the_last_checkpoint_whole(folder, monkeypatch):
    folder.save(state(1), keep=2, keep_every=None)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match=r"00000002\.pt: cannot be written: No space left"):
        folder.save(state(2), keep=2, keep_every=None)
    monkeypatch.undo()
    assert folder.newest()[0]["iteration"] == 1 and not list(folder.checkpoints.glob(".*"))


def test_a_file_size_limit_is_met_with_a_message(folder):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    code = (
        "import resource, sys; from pathlib import Path; from utils.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "write_atomically(Path(sys.argv[1]), bytes(10000))\n"
    )
    path = folder.checkpoint(1)
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode and "UserError" in done.stderr and "File too large" in done.stderr
    assert not path.exists() and not list(folder.checkpoints.glob(".*"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        RunFolder(tmp_path / "file" / "stage").make()


def test_leftovers_of_killed_writers_are_removed(folder):
    leftover = folder.checkpoints / ".0123456789abcdef.tmp"
    leftover.write_bytes(b"half")
    folder.make()
    assert not leftover.exists() and folder.iterations() == []


def test_files_of_other_names_are_left_alone(folder):
    own = [folder.checkpoints / name for name in ("2².pt", "٣.pt", "copy.pt", "5.pt", "000000001.pt")]
    own += [folder.folder / "best" / name for name in ("mine.safetensors", "00000002 (copy).safetensors")]
    for path in own:
        path.write_bytes(b"own")
    for iteration in (1, 2, 3):
        folder.save(state(iteration), keep=2, keep_every=None)
        folder.save_best(b"weights", iteration, [[float(iteration), iteration]], keep=1)
    assert folder.iterations() == [2, 3] and folder.newest()[0]["iteration"] == 3
    assert all(path.read_bytes() == b"own" for path in own)
    assert (folder.folder / "best" / "00000003.safetensors").exists()
