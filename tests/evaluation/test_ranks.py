"""Processes that share an evaluation: that each takes leave of the others (that they share it: test_evaluate.py)."""

import pytest
import torch.distributed as dist

from evaluation.ranks import Ranks


@pytest.mark.parametrize(("count", "calls"), [(1, []), (2, ["join", "leave"])])
def test_a_process_takes_leave_also_after_an_error(monkeypatch, count, calls):
    monkeypatch.setenv("WORLD_SIZE", str(count))
    monkeypatch.setenv("RANK", str(count - 1))
    seen = []
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: seen.append("join"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: seen.append("leave"))
    with pytest.raises(KeyError), Ranks() as ranks:
        assert ranks.rank == count - 1 and ranks.is_main == (count == 1)
        raise KeyError
    assert seen == calls
