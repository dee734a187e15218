"""Recipe `nonlocal_prior`: what is restored, by which guide, and what is said of the result."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from benchmarks.soak import experiment, finish, start, write_photos
from data.codecs import parse
from data.options import EvaluationSetOptions
from data.resize import imresize
from models import build_generator
from training.options import StageOptions
from training.recipes import RECIPES
from training.recipes.nonlocal_prior import blurred, blurred_as_released
from training.runtime import Runtime, RuntimeOptions
from training.validation import ValidationOptions, Validator
from utils.options import validate

SIZES = {"type": "cisr_psi", "scale": 2, "num_feat": 8, "reduction": 4, "arm_groups": 1, "rem_groups": 1, "blocks": 1}


def make(**options):
    torch.manual_seed(0)
    generator = build_generator(SIZES)
    recipe = {"type": "nonlocal_prior", **options}
    stage = validate({"name": "s", "recipe": recipe, "iterations": 10, "optimizer": {"lr": 1e-2}}, StageOptions, "test")
    runtime = Runtime(RuntimeOptions(device="cpu"))
    return RECIPES["nonlocal_prior"](stage.recipe, generator, stage, runtime), generator


def pair_of(photo):
    """Compressed and clean LR image of a photograph, float 1×3×h×w on 0–255."""
    clean = imresize(photo[:120, :120], 0.5)
    codec = parse("jpeg10")
    images = codec.decode(codec.encode(clean)), clean
    return [torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in images]


@pytest.mark.parametrize("kernel", ["normalised", "released"])
def test_the_compressed_image_is_restored_led_by_the_blurred_clean_one(photos, kernel):
    z, clean = pair_of(photos["astronaut"])
    recipe, generator = make(kernel=kernel)
    blur = {"normalised": blurred, "released": blurred_as_released}[kernel]
    expected = (generator.nonlocal_prior(z, blur(clean)) - clean).abs().mean()
    terms = recipe.iteration([{"lr": z / 255, "clean_lr": clean / 255}])
    torch.testing.assert_close(terms["loss"], expected, rtol=1e-4, atol=0)


def test_guides_are_blurred_as_their_kernels_say():
    image = torch.zeros(1, 3, 5, 5)
    image[..., 2, 2] = 16
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]])
    torch.testing.assert_close(blurred(image)[0, 1, 1:4, 1:4], kernel)
    ones = torch.ones(1, 3, 4, 4)
    torch.testing.assert_close(blurred(ones), ones)
    # A cross-correlation: the 5, right of the middle, is met one pixel to the left. Zeros beyond the corner.
    torch.testing.assert_close(blurred_as_released(image)[0, 1, 2, 1:4], torch.tensor([5.0 * 16, 4 * 16, 2 * 16]))
    torch.testing.assert_close(blurred_as_released(ones)[0, 1, 0], torch.tensor([12.0, 15, 15, 9]))


def test_the_outcome_is_the_gain_over_z_on_the_validation_images(photo_folder, photos):
    recipe, generator = make()
    sets = (EvaluationSetOptions(name="photos", hr=photo_folder, compressions=("jpeg10", "none")),)
    runtime = Runtime(RuntimeOptions(device="cpu"))
    gains = {"clean": [], "step 0": []}
    for compression in ("jpeg10", "none"):
        for photo in photos.values():
            clean = imresize(photo[: photo.shape[0] // 2 * 2, : photo.shape[1] // 2 * 2], 0.5)
            codec = parse("jpeg10")
            lr = clean if compression == "none" else codec.decode(codec.encode(clean))
            z, y = (torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in (lr, clean))
            up = F.interpolate(z, scale_factor=2, mode="bicubic")
            guides = {"clean": blurred(y), "step 0": F.interpolate(up, size=z.shape[-2:], mode="bicubic")}
            for name, guide in guides.items():
                u = generator.nonlocal_prior(z, guide)
                errors = [max(float((image - y).square().mean()), 1 / 12) for image in (z, u)]
                gains[name].append(10 * np.log10(errors[0] / errors[1]))
    lines = recipe.outcome(generator, Validator(sets, 2, ValidationOptions(), runtime))
    said = [float(value) for value in re.findall(r"([+-][\d.]+) dB", lines[0])]
    assert said == pytest.approx([np.mean(gains["clean"]), np.mean(gains["step 0"])], abs=6e-4)
    # Of an image that was not compressed the untrained operator takes more than it gives.
    assert min(said) < 0 and len(lines) == 2 and lines[1].startswith("warning: ")


def test_a_stage_warns_of_a_prior_that_does_nothing_and_its_advice_helps(tmp_path):
    photos = write_photos(tmp_path / "photos")
    options = experiment("unfolding", tmp_path / "a", photos, 4, validation={"every": 100}, ema=None)
    content = yaml.safe_load(options.read_text())
    content["stages"] = content["stages"][:1]
    options.write_text(yaml.safe_dump(content))
    process = start(options, "name=idle", "stages.0.optimizer.lr=1e-7")
    _, errors = process.communicate()
    assert process.returncode == 0 and "prior: u is " in errors, errors
    assert errors.count("warning: this prior does not bring z nearer") == 1
    finish(options, "name=trained", "stages.0.optimizer.lr=3e-2", "stages.0.iterations=60")
    log = (tmp_path / "a" / "runs" / "trained" / "stage0" / "train.log").read_text()
    assert "prior: u is +" in log and "warning" not in log, log
