"""The trainings of options/gpu, made small: they end by the clock and export weights that restore an image."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from data.pack import pack
from inference.whole_image import restore
from models import build_generator, options_in_file
from training.check import check
from training.experiment import run_experiment
from training.options import TrainOptions
from utils.images import write_png
from utils.options import load

FOLDER = Path(__file__).parents[2] / "options" / "gpu"
BUNDLED = sorted((FOLDER.parents[1] / "checkpoints").glob("*.safetensors"))
SMALL = {
    "cisrnet": ["generator.num_feat=8", "generator.reduction=4", "generator.coarse_groups=1",
                "generator.coarse_blocks=1", "generator.fine_blocks=1"],
    "cisr_psi": ["generator.num_feat=8", "generator.reduction=4", "generator.rem_groups=1", "generator.blocks=1"],
    "residual_unet": ["generator.widths=[8, 8]", "generator.blocks=[1, 1]"],
    "rrdbnet": ["generator.num_feat=4", "generator.num_block=1", "generator.num_grow_ch=4"],
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A pack of two photographs, and a folder of one to validate on."""
    folder = tmp_path_factory.mktemp("gpu")
    write_png(folder / "hr" / "a.png", skimage.data.coffee()[:256, :300])
    write_png(folder / "hr" / "b.png", skimage.data.astronaut()[:256, :256])
    write_png(folder / "valid" / "c.png", skimage.data.chelsea()[100:164, 100:164])
    (folder / "pack.tar").write_bytes(pack([folder / "hr"], 1))
    return folder


def small(name, data, root):
    """The options with small networks and batches, on the CPU, in three seconds."""
    path = FOLDER / f"{name}.yml"
    options = load(path, TrainOptions)
    overrides = [
        *SMALL[options.generator.type],
        f"root={root}",
        f"data.train.hr={data / 'pack.tar'}",
        f"data.validation.0.hr={data / 'valid'}",
        "data.train.patch_size=32",
        "data.train.workers=0",
        *(["data.train.compressions=[jpeg10]"] if options.data.train.compress == "ahead" else []),
        "data.validation.0.compressions=[jpeg10]",
        "runtime={minutes: 0.05, device: cpu}",
    ]
    for place, stage in enumerate(options.stages):
        overrides += [f"stages.{place}.batch_size=2", f"stages.{place}.init=null"]  # what it starts from is not here
        if stage.recipe.type == "adversarial":  # neither are VGG16's weights
            overrides += [
                f"stages.{place}.recipe.perceptual=null",
                f"stages.{place}.recipe.discriminator={{num_feat: 4, patch_size: 32}}",
                f"stages.{place}.validation.rank_by=psnr_y",
            ]
    return load(path, TrainOptions, overrides)


@pytest.mark.parametrize(
    "name",
    [
        "cisrnet_x2",
        "cisrnet_x4",
        "cisr_psi_x2",
        "rrdbnet_jpeg",
        "residual_unet_jpeg",
        "esrgan_hevc37",
        "perceptual_hevc",
    ],
)
def test_a_training_ends_by_the_clock_and_its_weights_restore(name, data, tmp_path):
    options = small(name, data, tmp_path)
    assert run_experiment(options, None) == 0
    for stage in options.stages:
        generator = build_generator(options_in_file(options.folder / stage.name / "best.safetensors")).eval()
        sr = restore(generator, np.full((16, 20, 3), 128, np.uint8), torch.device("cpu"))
        assert sr.shape == (16 * generator.scale, 20 * generator.scale, 3)


def test_check_says_time_and_memory(data, tmp_path, capsys):
    assert check(small("cisrnet_x2", data, tmp_path)) == 0
    said = capsys.readouterr().out
    assert "time         0.05 minutes for all stages" in said
    assert "coarse: coarse_to_fine, 0.0 minutes × 2" in said and "MiB on a process" in said


def test_every_shipped_network_has_one_that_takes_eight_minutes():
    named = {path.stem for path in FOLDER.glob("*.yml")}
    assert {path.stem for path in BUNDLED} <= named
    for path in FOLDER.glob("*.yml"):
        options = load(path, TrainOptions)
        assert options.runtime.minutes == 8 and options.name == f"gpu_{path.stem}"
        assert path.name in (FOLDER / "README.md").read_text()
