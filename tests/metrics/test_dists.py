"""DISTS against a plain float64 reference on random weights, and weight files that are refused."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from losses import LossWeightsError
from metrics.dists import CHANNELS, Dists
from metrics.psnr_ssim import MetricError

COUNT = sum(CHANNELS)
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Random VGG16 features and random alpha and beta."""
    folder, generator = tmp_path_factory.mktemp("dists"), torch.Generator().manual_seed(0)
    state, index, before = {}, 0, 3
    for stage in STAGES:
        for channels in stage:
            shape = (channels, before, 3, 3)
            state[f"features.{index}.weight"] = torch.randn(shape, generator=generator) * (2 / (9 * before)) ** 0.5
            state[f"features.{index}.bias"] = 0.1 * torch.randn(channels, generator=generator)
            index, before = index + 2, channels
        index += 1
    torch.save(state, folder / "vgg16.pth")
    learnt = {name: torch.rand(1, COUNT, 1, 1, generator=generator) for name in ("alpha", "beta")}
    torch.save(learnt, folder / "weights.pt")
    return folder / "weights.pt", folder / "vgg16.pth"


def features(image, state):
    """What DISTS compares, in float64: image first, then five stages; channels × height × width."""
    x = image.transpose(2, 0, 1) / 255.0
    yield x
    x = (x - np.array([0.485, 0.456, 0.406])[:, None, None]) / np.array([0.229, 0.224, 0.225])[:, None, None]
    index, hann = 0, np.outer([1, 2, 1], [1, 2, 1]) / 16
    for number, stage in enumerate(STAGES):
        if number:
            x = np.sqrt(np.stack([correlate(c**2, hann, mode="constant")[::2, ::2] for c in x]) + 1e-12)
        for _ in stage:
            weight, bias = (state[f"features.{index}.{part}"].double() for part in ("weight", "bias"))
            x = torch.nn.functional.conv2d(torch.from_numpy(x)[None], weight, bias, padding=1)[0].clamp(min=0).numpy()
            index += 2
        index += 1
        yield x


def plain(a, b, files):
    learnt, state = (torch.load(path, weights_only=True) for path in files)
    alpha, beta = (learnt[name].double().numpy().ravel() for name in ("alpha", "beta"))
    similarity, place = 0.0, 0
    for x, y in zip(features(a, state), features(b, state)):
        for of_x, of_y in zip(x, y):
            mx, my = of_x.mean(), of_y.mean()
            similarity += alpha[place] * (2 * mx * my + 1e-6) / (mx**2 + my**2 + 1e-6)
            covariance = (of_x * of_y).mean() - mx * my
            similarity += beta[place] * (2 * covariance + 1e-6) / (of_x.var() + of_y.var() + 1e-6)
            place += 1
    return 1 - similarity / (alpha.sum() + beta.sum())


def test_equals_a_plain_reference(files, photos):
    a = photos["astronaut"][:40, :45]
    b = a[:, ::-1].copy()
    metric = Dists(*files)
    found = metric(a, b)
    assert found == pytest.approx(plain(a, b, files), abs=2e-5) and found > 0.01
    assert metric(a, a) == pytest.approx(0, abs=1e-5)


def test_small_images_are_refused(files):
    small = np.zeros((31, 40, 3), np.uint8)
    with pytest.raises(MetricError, match="32x32 is needed"):
        Dists(*files)(small, small)


def test_files_that_are_not_its_weights_are_refused(files, tmp_path):
    with pytest.raises(LossWeightsError, match="dists_weights"):
        Dists(None, files[1])
    with pytest.raises(LossWeightsError, match="no such file"):
        Dists(tmp_path / "none.pt", files[1])
    path = tmp_path / "weights.pt"
    for content in ({"alpha": torch.ones(COUNT)}, [1], {"alpha": torch.ones(3), "beta": torch.ones(3)}):
        torch.save(content, path)
        with pytest.raises(LossWeightsError, match="1475 values each"):
            Dists(path, files[1])
    torch.save({"alpha": torch.zeros(COUNT), "beta": torch.zeros(COUNT)}, path)
    with pytest.raises(LossWeightsError, match="not above 0"):
        Dists(path, files[1])
    path.write_bytes(b"not a file of tensors")
    with pytest.raises(LossWeightsError, match="not a file of plain tensors"):
        Dists(path, files[1])
