"""The ranking of validated weights, on disk and in checkpoints."""

from types import SimpleNamespace

import pytest

from training.loop.best_weights import BestWeights
from training.options import StageOptions
from training.run_folder import RunFolder
from training.validation import Score, Validation
from utils.options import validate

OPTIONS = SimpleNamespace(data=SimpleNamespace(validation=()), generator=SimpleNamespace(scale=2))


def make(folder, is_main=True, **stage):
    values = {
        "name": "s",
        "recipe": {"type": "supervised", "pixel": {"type": "l1"}},
        "iterations": 100,
        "optimizer": {"lr": 1e-4},
        "checkpoint": {"keep_best": 2},
        "validation": {"every": 10},
        **stage,
    }
    options = validate(values, StageOptions, "test")
    run_folder = RunFolder(folder)
    run_folder.make()
    return BestWeights(OPTIONS, options, run_folder, SimpleNamespace(is_main=is_main, rank=0, ranks=1))


def scored(psnr, lpips=0.5):
    score = Score({"psnr_y": psnr, "lpips": lpips}, {})
    return Validation({("set", "jpeg10"): score}, {}, "bicubic")


def add_all(best, *psnrs):
    for number, psnr in enumerate(psnrs, 1):
        best.add(scored(psnr), 10 * number, f"weights {number}".encode)


def test_the_best_are_kept_and_the_best_of_all_is_copied(tmp_path):
    best = make(tmp_path)
    add_all(best, 30.0, 33.0, 31.0, 29.0)
    assert best.ranking == [[33.0, 20], [31.0, 30]] and best.validated == 40
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "00000020.safetensors",
        "00000030.safetensors",
    ]
    assert (tmp_path / "best.safetensors").read_bytes() == b"weights 2"


def test_an_iteration_that_is_validated_again_counts_once(tmp_path):
    best = make(tmp_path)
    add_all(best, 30.0)
    best.add(scored(28.0), 10, lambda: b"again")
    assert best.ranking == [[28.0, 10]]


def test_other_processes_neither_write_nor_export(tmp_path):
    best = make(tmp_path, is_main=False)
    best.add(scored(30.0), 10, lambda: pytest.fail("exported"))
    assert best.validated == 10 and not list((tmp_path / "best").iterdir())


@pytest.mark.parametrize(("rank_by", "kept"), [("psnr_y", [[30.0, 10]]), ("lpips", [])])
def test_a_checkpoint_gives_back_a_ranking_of_the_same_metric(tmp_path, rank_by, kept):
    first = make(tmp_path)
    add_all(first, 30.0)
    later = make(tmp_path, validation={"every": 10, "rank_by": rank_by})
    later.load_state({"iteration": 20, **first.state()})
    assert later.ranking == kept and later.validated == 10


def test_a_validation_that_a_stop_came_before_is_due(tmp_path):
    best = make(tmp_path)
    assert not best.lack(10)  # there are no sets
    best.validator.items = [object()]
    assert best.lack(10) and best.lack(100) and not best.lack(0) and not best.lack(15)
    best.validated = 10
    assert not best.lack(10)
