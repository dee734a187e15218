"""The discriminator: its published outputs, its size, its one input size."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from models import (
    Discriminator,
    DiscriminatorOptions,
    WeightsError,
    build_discriminator,
    count_parameters,
    load_weights,
)

GOLDEN = Path(__file__).parents[1] / "golden"
FILE = GOLDEN / "discriminator128_feats8.pth"


def test_published_outputs_in_training_and_then_in_evaluation():
    discriminator = Discriminator(DiscriminatorOptions(num_feat=8))
    load_weights(discriminator, FILE)
    golden = np.load(FILE.with_suffix(".npz"))
    patches = torch.from_numpy(golden["input"])
    with torch.inference_mode():
        trained = discriminator.train()(patches)
        evaluated = discriminator.eval()(patches)
    np.testing.assert_allclose(trained.numpy(), golden["output_train_mode"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(evaluated.numpy(), golden["output_eval_after_one_train_forward"], rtol=0, atol=1e-5)


def test_parameters_at_the_published_size():
    assert count_parameters(Discriminator(DiscriminatorOptions())) == 3_946_433


@pytest.mark.parametrize("size", [(128, 127), (96, 96), (160, 160)])
def test_another_size_of_patch_is_refused(size):
    discriminator = Discriminator(DiscriminatorOptions(num_feat=2))
    with pytest.raises(ValueError, match=rf"judges 128×128 pixels, not {size[0]}×{size[1]}: make patch_size"):
        discriminator(torch.zeros(1, 3, *size))


def test_other_patch_sizes_are_an_option():
    discriminator = Discriminator(DiscriminatorOptions(num_feat=2, patch_size=64))
    assert discriminator(torch.rand(2, 3, 64, 64)).shape == (2, 1)
    with pytest.raises(ValidationError, match="multiple of 32"):
        DiscriminatorOptions(patch_size=100)


def test_a_missing_tensor_is_named(tmp_path):
    state = torch.load(FILE, weights_only=True)
    del state["bn2_1.running_mean"]
    torch.save(state, tmp_path / "lacks.pth")
    with pytest.raises(WeightsError, match=r"does not fit Discriminator: missing: bn2_1\.running_mean$"):
        load_weights(Discriminator(DiscriminatorOptions(num_feat=8)), tmp_path / "lacks.pth")


def test_forward_stays_on_its_device_and_never_waits_for_it(fake_cuda):
    with fake_cuda():
        with torch.device("cuda"):
            discriminator, patches = (
                Discriminator(DiscriminatorOptions(num_feat=4)),
                torch.rand(2, 3, 128, 128),
            )
        logits = discriminator(patches)
    assert logits.device.type == "cuda"


def unet(num_feat=4):
    torch.manual_seed(0)
    return build_discriminator(DiscriminatorOptions(type="unet", num_feat=num_feat))


def test_the_unet_judges_every_pixel():
    for size in [(16, 16), (64, 40)]:
        assert unet()(torch.rand(2, 3, *size)).shape == (2, 1, *size)
    with pytest.raises(ValueError, match="multiples of 8, not 16×20"):
        unet()(torch.rand(1, 3, 16, 20))


def test_the_unet_has_the_published_size():
    assert count_parameters(unet(64)) == 4_376_897  # Real-ESRGAN's


def test_spectral_norm_bounds_the_layers_and_keeps_them_after_loading():
    first, second = unet(), unet()
    patches = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(30)
        for _ in range(60):  # power iterations
            first(patches)
    for down in first.downs:
        assert torch.linalg.matrix_norm(down.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)
    second.load_state_dict(first.state_dict())
    with torch.inference_mode():
        assert torch.equal(first.eval()(patches), second.eval()(patches))
