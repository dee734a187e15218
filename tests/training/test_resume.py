"""A training that is killed and resumed ends with the bytes of one that never stopped."""

import random

import pytest

from benchmarks.soak import EXPERIMENTS, differences, experiment, kill_and_resume, train, write_photos


@pytest.mark.parametrize("recipe", list(EXPERIMENTS))
def test_killed_and_resumed_ends_with_the_same_bytes(recipe, tmp_path):
    photos = write_photos(tmp_path / "photos")
    straight = experiment(recipe, tmp_path / "straight", photos, 40)
    train(straight)
    killed = experiment(recipe, tmp_path / "killed", photos, 40)
    assert kill_and_resume(killed, 3, random.Random(1), longest=0.15) == 3
    assert differences(straight, killed) == []


def test_the_comparison_can_fail(tmp_path):
    """Another seed ends elsewhere: in every tensor that is trained, and in both files."""
    photos = write_photos(tmp_path / "photos")
    one, other = (experiment("supervised", tmp_path / name, photos, 2) for name in ("one", "other"))
    train(one)
    train(other, None, "seed=1")
    found = differences(one, other)
    assert {"stage0/best.safetensors", "stage0/last.safetensors"} < set(found)
    assert "stage0.networks.generator.coarse_first.weight" in found
