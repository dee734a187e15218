"""A training that is killed and resumed ends with the bytes of one that never stopped."""

import random

import pytest

from benchmarks.soak import EXPERIMENTS, differences, experiment, finish, kill_and_resume, write_photos


@pytest.mark.parametrize("recipe", list(EXPERIMENTS))
def test_killed_and_resumed_ends_with_the_same_bytes(recipe, tmp_path):
    photos = write_photos(tmp_path / "photos")
    straight = experiment(recipe, tmp_path / "straight", photos, 60)
    finish(straight)
    killed = experiment(recipe, tmp_path / "killed", photos, 60)
    assert kill_and_resume(killed, 3, random.Random(1), longest=0.3) == 3
    assert differences(straight, killed) == []
    # The comparison can fail: another seed ends elsewhere.
    other = experiment(recipe, tmp_path / "other", photos, 60)
    finish(other, "seed=1")
    assert differences(straight, other) != []
