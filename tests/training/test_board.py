"""TensorBoard's event files: what its own reader finds in them, and a full disk."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from training.board import Board


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def test_what_was_written_is_read_and_a_resume_takes_the_place_of_what_it_repeats(tmp_path):
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    first = Board(tmp_path / "new" / "board", 1)
    for step in (1, 2, 3):
        first.scalar("train/loss", step / 2, step)
    first.image("set/jpeg10", picture, 3)
    first.close()
    second = Board(tmp_path / "new" / "board", 3)
    second.scalar("train/loss", 9, 3)
    second.flush()
    found = read(tmp_path / "new" / "board")
    assert [(e.step, e.value) for e in found.Scalars("train/loss")] == [(1, 0.5), (2, 1.0), (3, 9.0)]
    board = read(next(path for path in (tmp_path / "new" / "board").iterdir() if path.name.endswith(_number(first))))
    (image,) = board.Images("set/jpeg10")
    assert (image.height, image.width, image.step) == (2, 3, 3)
    second.close()


def _number(board):
    return board.records._writer.name.rpartition(".")[2]


def test_a_full_disk_is_an_error_and_no_wait(tmp_path):
    board = Board(tmp_path, 1)
    board.records = RecordWriter(open("/dev/full", "wb", buffering=0))  # noqa: SIM115, PTH123
    with pytest.raises(OSError, match="No space left"):
        board.scalar("train/loss", 1.0, 1)
