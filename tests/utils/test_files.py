"""Files written whole under names of their own; locks: who holds them, and for how long."""

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils import files
from utils.errors import UserError
from utils.files import locked, remove_temporaries, size_text, try_writing, write_atomically

ROOT = Path(__file__).parents[2]


def test_a_lock_ends_with_its_process_and_not_with_the_workers_that_it_has_forked(tmp_path):
    with locked(tmp_path / ".lock", wait=False):
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        worker.start()
    try:
        with locked(tmp_path / ".lock", wait=True):
            assert worker.is_alive()
    finally:
        worker.kill()
        worker.join()


def test_no_temporary_name_can_be_guessed_and_none_is_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    names = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(names))
    (tmp_path / f".{'0' * 16}.tmp").symlink_to(victim)
    with pytest.raises(UserError, match="cannot be written: File exists"):
        write_atomically(tmp_path / "a", b"new")
    write_atomically(tmp_path / "a", b"new")
    assert victim.read_text() == "precious" and (tmp_path / "a").read_bytes() == b"new"
    assert not (tmp_path / "a").is_symlink()
    monkeypatch.undo()
    seen = {files._new_temporary(tmp_path)[1].name for _ in range(20)}
    assert len(seen) == 20 and all(len(name) <= 24 for name in seen)


@pytest.mark.parametrize(("number", "text"), [
    (0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (140_000, "140.0 kB"), (999_949, "999.9 kB"),
    (999_950, "1.0 MB"), (2.5e9, "2.5 GB"), (1e16, "10000.0 TB"),
])  # fmt: skip
def test_sizes_are_shown_in_a_unit_that_shows_them(number, text):
    assert size_text(number) == text


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_what_a_killed_writer_has_left_goes_with_the_next_write_and_a_living_ones_stays(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from utils import files\n"
        "path = files._new_temporary(Path(sys.argv[1]))[1]; print(path.name, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, tmp_path]
    writers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    names = [writer.stdout.readline().strip() for writer in writers]
    writers[0].kill()
    writers[0].wait()
    own = tmp_path / ".mine.tmp"  # not one of ours
    own.write_text("")
    write_atomically(tmp_path / "a", b"x")
    assert {entry.name for entry in tmp_path.iterdir()} == {"a", ".mine.tmp", names[1]}
    writers[1].communicate()
    remove_temporaries(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"a", ".mine.tmp"}


def test_a_trial_that_was_killed_goes_with_the_next(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from utils import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL); files.try_writing(Path(sys.argv[1]), 1000)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT)
    assert [entry.stat().st_size for entry in tmp_path.iterdir()] == [1000]
    try_writing(tmp_path, 10)
    assert list(tmp_path.iterdir()) == []
