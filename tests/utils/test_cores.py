"""The number of usable cores, also where the system does not tell which ones a process may use."""

import os

from data.datasets import training_loader
from data.options import TrainDataOptions
from data.prepare import prepare
from data.sampling import IterationSampler
from data.store import source_images
from utils.cores import usable_cores


def test_only_the_cores_that_the_process_may_use_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert usable_cores() == 2


def test_without_the_systems_answer_all_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_images_are_prepared_and_loaded_where_there_is_no_such_call(monkeypatch, photo_folder, tmp_path):
    from data.datasets import PatchDataset

    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert prepare(source_images([photo_folder]), tmp_path / "s", 2, ["jpeg10"], progress=False) == []
    options = TrainDataOptions(hr=photo_folder, prepared=tmp_path / "s", compressions=("jpeg10",), patch_size=16)
    loader = training_loader(PatchDataset(options, 2, seed=0), IterationSampler(0, 1, 2), pin_memory=False)
    assert loader.num_workers == 1
