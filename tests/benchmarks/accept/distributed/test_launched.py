"""What is said of a training in several processes that failed."""

import pytest

from benchmarks.accept.distributed.launched import _why

TORCHRUN = """
E1126 10:00:00.000000 100 api.py:900] failed (exitcode: 1) local_rank: 0 (pid: 101) of binary: python
Traceback (most recent call last):
  File "run.py", line 1, in main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n============
train.py FAILED
"""


@pytest.mark.parametrize(
    ("errors", "why"),
    [
        ("[rank0]: Traceback (most recent call last):\n[rank0]: ValueError: no\n", "[rank0]: ValueError: no"),
        ("error: data.train.hr: no such folder\n", "error: data.train.hr: no such folder"),
        ("", "torchrun ended with an error; see the log"),
    ],
)
def test_the_error_of_the_process_is_named_and_all_of_it_is_in_the_log(errors, why, capsys):
    assert _why(errors + TORCHRUN) == why
    assert "ChildFailedError" in capsys.readouterr().err
