"""Starting from other weights: what the shipped files list as different is exactly what differs among scales."""

from pathlib import Path

import pytest
import torch

from benchmarks.soak import CISR_PSI, CISRNET, L1
from models import WeightsError, build_generator, load_weights
from models.weight_files import export_weights
from training.check import check
from training.experiment import run_experiment
from training.options import TrainOptions
from utils.options import OptionsError, load, validate

ROOT = Path(__file__).parents[2]
SMALL = {"cisrnet": CISRNET, "cisr_psi": CISR_PSI}


def exported(folder, generator, scale):
    torch.manual_seed(scale)
    path = folder / f"x{scale}.safetensors"
    path.write_bytes(export_weights(build_generator({**generator, "scale": scale}), {}))
    return path


@pytest.mark.parametrize("scale", [3, 4])
@pytest.mark.parametrize("system", SMALL)
def test_the_shipped_lists_take_a_network_from_x2_to_another_scale(system, scale, tmp_path):
    options = load(ROOT / f"options/{system}/x{scale}_from_x2.yml", TrainOptions)
    assert options.generator.scale == scale and options.generator.type == system
    listed = options.stages[0].init_may_differ
    x2 = exported(tmp_path, SMALL[system], 2)
    generator = build_generator({**SMALL[system], "scale": scale})
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(generator, x2)
    load_weights(generator, x2, may_differ=listed)
    source = build_generator({**SMALL[system], "weights": x2}).state_dict()
    kept = [name for name in before if any(name.startswith(pattern.removesuffix("*")) for pattern in listed)]
    assert 2 <= len(kept) < len(before) / 2
    for name, tensor in generator.state_dict().items():
        assert torch.equal(tensor, before[name] if name in kept else source[name]), name
    # One pattern less and the tensors that it stood for are named.
    for pattern in listed:
        with pytest.raises(WeightsError, match=rf"x2\.safetensors.*{pattern.removesuffix('*')}"):
            load_weights(generator, x2, may_differ=[other for other in listed if other != pattern])


def test_the_way_back_leaves_out_what_only_the_file_has(tmp_path):
    x4 = exported(tmp_path, CISRNET, 4)
    generator = build_generator(CISRNET)
    load_weights(generator, x4, may_differ=["coarse_upsampler.2.*"])
    weights = build_generator({**CISRNET, "scale": 4, "weights": x4}).state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in generator.state_dict().items())


@pytest.mark.parametrize(
    ("patterns", "parts"),
    [
        (["coarse_upsampler.*", "coarse_upsample.*"], ["'coarse_upsample.*'", "correct or remove"]),
        (["coarse_upsampler.*", "fine.0.*"], ["'fine.0.*'", "correct or remove"]),  # there, and fits
        (["*"], ["'*'", "leaves nothing"]),
        (["coarse_upsampler.0.bias"], ["of another shape: coarse_upsampler.0.weight"]),
    ],
)
def test_a_list_that_is_not_exact_is_refused_and_nothing_is_loaded(patterns, parts, tmp_path):
    x2 = exported(tmp_path, CISRNET, 2)
    generator = build_generator({**CISRNET, "scale": 3})
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    with pytest.raises(WeightsError) as error:
        load_weights(generator, x2, may_differ=patterns)
    assert all(part in str(error.value) for part in [str(x2), *parts]) and "\n" not in str(error.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in generator.state_dict().items())


def experiment(tmp_path, photos, iterations=2, **stage):
    """Options of a short ×3 training of a small CISRNet."""
    return validate(
        {
            "name": "x3",
            "root": str(tmp_path / "runs"),
            "generator": {**CISRNET, "scale": 3},
            "data": {
                "train": {
                    "hr": str(photos),
                    "prepared": str(tmp_path / "store"),
                    "compressions": ["jpeg10"],
                    "patch_size": 8,
                    "workers": 0,
                }
            },
            "stages": [
                {
                    "name": "only",
                    "recipe": {"type": "supervised", "pixel": L1},
                    "iterations": iterations,
                    "batch_size": 2,
                    "optimizer": {"lr": 1e-12},
                    **stage,
                }
            ],
            "runtime": {"device": "cpu"},
        },
        TrainOptions,
        "test",
    )


def test_a_training_starts_from_another_scale_and_resumes_without_its_file(photo_folder, tmp_path):
    x2 = exported(tmp_path, CISRNET, 2)
    stage = {"init": str(x2), "init_may_differ": ["coarse_upsampler.*"]}
    assert run_experiment(experiment(tmp_path, photo_folder, **stage), None) == 0
    last = tmp_path / "runs/x3/only/last.safetensors"
    trained = build_generator({**CISRNET, "scale": 3, "weights": last}).state_dict()
    source = build_generator({**CISRNET, "weights": x2}).state_dict()
    for name in ("coarse_first.weight", "fine.2.weight"):
        torch.testing.assert_close(trained[name], source[name], rtol=0, atol=1e-8)
    x2.unlink()
    assert run_experiment(experiment(tmp_path, photo_folder, iterations=3, **stage), "auto") == 0
    assert (tmp_path / "runs/x3/only/checkpoints/00000003.pt").is_file()


@pytest.mark.parametrize("start", [check, lambda options: run_experiment(options, None)], ids=["check", "train"])
@pytest.mark.parametrize(
    ("stage", "what"),
    [
        ({"init": "nowhere.pth"}, r"nowhere\.pth: no such weight file"),
        ({"init": "x2.safetensors"}, r"x2\.safetensors: does not fit CISRNet ×3 \(written for scale 2\)"),
        ({"init": "x2.safetensors", "init_may_differ": ["upsampler"]}, "'upsampler'; correct or remove"),
    ],
)
def test_an_init_that_does_not_fit_is_named_before_anything_is_made(stage, what, start, photo_folder, tmp_path):
    exported(tmp_path, CISRNET, 2)
    stage = {**stage, "init": str(tmp_path / stage["init"])}
    with pytest.raises(WeightsError, match=what):
        start(experiment(tmp_path, photo_folder, **stage))
    assert not (tmp_path / "store").exists()


def test_a_list_without_a_file_is_refused(photo_folder, tmp_path):
    with pytest.raises(OptionsError, match=r"stages\.0\.init_may_differ: there is no `init`"):
        experiment(tmp_path, photo_folder, init_may_differ=["a"])
