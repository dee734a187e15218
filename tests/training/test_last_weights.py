"""`last.safetensors`, damaged between two stages: made again from the checkpoint beside it, the same bytes."""

import pytest

from benchmarks.soak import experiment
from models import build_generator
from models.checkpoints import export_weights
from training.experiment import _starting_point
from training.options import TrainOptions
from training.run_folder import RunFolder
from utils.options import load


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


@pytest.fixture
def finished(tmp_path, photo_folder):
    """Options of two stages, the folder of the first one, which is finished, and what its `last` held."""
    options = load(experiment("coarse_to_fine", tmp_path, photo_folder, 2), TrainOptions)
    name = options.stages[0].name
    folder, shown, trained = RunFolder(options.folder / name), *(build_generator(options.generator) for _ in range(2))
    folder.make()
    # As the trainer saves them: the moving average is what is shown.
    last = export_weights(shown, {"experiment": options.name, "stage": name, "iteration": 2})
    folder.last.write_bytes(last)
    networks = {"generator": trained.state_dict()}
    folder.save({"stage": name, "iteration": 2, "networks": networks, "ema": shown.state_dict()}, 2, None)
    return options, folder, last


def resume(options):
    return _starting_point(
        options, [RunFolder(options.folder / stage.name) for stage in options.stages], "auto", say=True
    )


@pytest.mark.parametrize("damage", [flipped, lambda path: path.unlink(), lambda path: path.write_bytes(b"cut")])
def test_a_damaged_last_is_made_again_and_the_next_stage_begins(finished, capsys, damage):
    options, folder, last = finished
    damage(folder.last)
    assert resume(options) == (1, None)
    assert folder.last.read_bytes() == last
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith(str(folder.last))
    assert f"written again from {folder.checkpoint(2)}" in said


def test_a_whole_one_is_left_alone(finished, capsys):
    options, folder, _ = finished
    before = folder.last.stat()
    assert resume(options) == (1, None)
    assert folder.last.stat() == before and not capsys.readouterr().err
