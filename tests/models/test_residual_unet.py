"""ResidualUNet: any size, nothing changed before training, the steps are read, weights come back."""

import pytest
import torch
from pydantic import ValidationError

from models import build_generator, count_parameters, options_in_file
from models.weight_files import export_weights

SMALL = {"type": "residual_unet", "widths": [8, 12], "blocks": [1, 1]}


def small(**options):
    torch.manual_seed(0)
    network = build_generator({**SMALL, **options})
    torch.nn.init.normal_(network.tail.weight, std=0.05)  # zero at the start: nothing else would show
    return network.eval()


def test_untrained_it_changes_nothing():
    image = torch.rand(2, 3, 13, 18)
    assert torch.equal(build_generator(SMALL)(image), image)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 14), (16, 24)])
@pytest.mark.parametrize("widths", [[8], [8, 12], [8, 12, 16]])
def test_any_size_of_image(size, widths):
    network = small(widths=widths, blocks=[1] * len(widths))
    with torch.inference_mode():
        restored = network(torch.rand(2, 3, *size), torch.tensor([[57.6, 86.0], [0.0, 0.0]]))
    assert restored.shape == (2, 3, *size) and restored.isfinite().all()


def test_padding_does_not_change_what_needs_none():
    network, image = small(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        cut = network(image[..., :30, :])
        assert torch.equal(cut[..., :8, :], network(image)[..., :8, :]) and cut.shape == (1, 3, 30, 32)


def test_steps_are_read_and_unknown_is_none():
    network, image = small(), torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        coarse, fine, unknown = (
            network(image, torch.tensor([steps])) for steps in ([200.0, 230.0], [2.0, 3.0], [0, 0])
        )
        assert torch.equal(unknown, network(image))
    assert len({float(restored.sum()) for restored in (coarse, fine, unknown)}) == 3


def test_steps_belong_to_their_images():
    network, images = small(), torch.rand(2, 3, 16, 16)
    steps = torch.tensor([[200.0, 230.0], [2.0, 3.0]])
    with torch.inference_mode():
        both = network(images, steps)
        torch.testing.assert_close(both[1:], network(images[1:], steps[1:]))


def test_bright_pixels_keep_their_grey_levels_under_autocast():
    """The skip stays float32: in bfloat16 a level of 250 would be 250 or 252."""
    network = build_generator(SMALL)
    image = (torch.arange(240, 256).float() / 255).expand(1, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(image), image)


def test_weights_come_back(tmp_path):
    network, image = small(), torch.rand(1, 3, 12, 12)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(export_weights(network, {}))
    with torch.inference_mode():
        assert torch.equal(build_generator(options_in_file(path))(image), network(image))


def test_the_bundled_size():
    with torch.device("meta"):
        assert count_parameters(build_generator({"type": "residual_unet"})) == 1_024_876


@pytest.mark.parametrize("options", [{"scale": 2}, {"widths": [8, 8, 8]}, {"blocks": []}, {"widths": [0, 8]}])
def test_other_sizes_are_refused(options):
    with pytest.raises(ValidationError):
        build_generator({**SMALL, **options})
