"""Metrics against golden values of the programs behind the papers, scikit-image, and what must always hold."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from losses import LossWeightsError
from metrics.lpips import Lpips
from metrics.psnr_ssim import CONVENTIONS, MetricError, Unrounded, psnr_rgb, psnr_y, ssim_rgb, ssim_y

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.npz"
Y_WEIGHTS = {  # written out again: a slip in the table of conventions must not hide itself
    "matlab": (np.array([65.481, 128.553, 24.966]) / 255, 16),
    "edsr": (np.array([65.738, 129.057, 25.064]) / 256, 0),
    "cisr_psi": (np.array([65.481, 128.553, 24.966]) / 255, 16 / 255),
    "grey": (np.array([0, 1, 0]), 0),
}


@pytest.mark.parametrize("pair", [0, 1, 2])
@pytest.mark.parametrize(("convention", "tolerance"), [("matlab", 1e-6), ("edsr", 1e-6), ("cisr_psi", 2e-5)])
def test_golden_y(pair: int, convention: str, tolerance: float) -> None:
    with np.load(GOLDEN) as golden:
        a, b, border = golden[f"a{pair}"], golden[f"b{pair}"], int(golden[f"border{pair}"])
        psnr = golden[f"psnr_y_edsr{pair}" if convention == "edsr" else f"psnr_y{pair}"]
        ssim = golden[f"ssim_y_{convention}{pair}"]
    assert psnr_y(a, b, border, convention) == pytest.approx(float(psnr), abs=1e-4)
    assert ssim_y(a, b, border, convention) == pytest.approx(float(ssim), abs=tolerance)


@pytest.mark.parametrize("pair", [0, 1, 2])
def test_golden_rgb(pair: int) -> None:
    with np.load(GOLDEN) as golden:
        found = psnr_rgb(golden[f"a{pair}"], golden[f"b{pair}"])
        assert found == pytest.approx(float(golden[f"psnr_rgb{pair}"]), abs=1e-9)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    coded = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def referee(a: np.ndarray, b: np.ndarray, border: int, convention: str) -> tuple[float, float]:
    """PSNR and SSIM of Y by scikit-image."""
    weights, offset = Y_WEIGHTS[convention]
    inside = slice(border, -border or None)
    x, y = (image[inside, inside] @ weights + offset for image in (a, b))
    mean, full = structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255, full=True
    )
    return peak_signal_noise_ratio(x, y, data_range=255), full.mean() if convention == "edsr" else mean


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize(("photo", "quality", "border"), [("astronaut", 10, 0), ("coffee", 30, 4), ("chelsea", 75, 3)])
def test_agrees_with_scikit_image(photo: str, quality: int, border: int, convention: str) -> None:
    a = getattr(data, photo)()
    b = jpeg(a, quality)
    psnr, ssim = referee(a, b, border, convention)
    assert psnr_y(a, b, border, convention) == pytest.approx(psnr, abs=1e-9)
    assert ssim_y(a, b, border, convention) == pytest.approx(ssim, abs=1e-9)
    assert psnr_rgb(a, b) == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-9)
    rgb = structural_similarity(
        a, b, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim_rgb(a, b) == pytest.approx(rgb, abs=1e-9)


def test_of_a_grey_image_every_figure_is_that_of_what_it_holds() -> None:
    camera = data.camera()[100:200, 200:311]
    coded = cv2.imdecode(cv2.imencode(".jpg", camera, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_GRAYSCALE)
    a, b = (np.repeat(image[..., None], 3, axis=2) for image in (camera, coded))
    psnr = peak_signal_noise_ratio(camera, coded)
    assert psnr_y(a, b, 0, "grey") == pytest.approx(psnr, abs=1e-9) == psnr_rgb(a, b)
    ssim = structural_similarity(
        camera, coded, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim_y(a, b, 0, "grey") == pytest.approx(ssim, abs=1e-9) == ssim_rgb(a, b)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(11, 70),  # around one, two and three strips
    width=st.integers(11, 30),
    border=st.integers(0, 5),
    convention=st.sampled_from(list(CONVENTIONS)),
    contrast=st.sampled_from([1, 8, 256]),  # 1: flat images, where a careless variance is all rounding error
    seed=st.integers(0, 2**32 - 1),
)
def test_agrees_with_scikit_image_at_any_size(
    height: int, width: int, border: int, convention: str, contrast: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shape = (height + 2 * border, width + 2 * border, 3)
    a, b = ((random.integers(0, 257 - contrast) + random.integers(0, contrast, shape)).astype(np.uint8) for _ in "ab")
    psnr, ssim = referee(a, b, border, convention)
    assert ssim_y(a, b, border, convention) == pytest.approx(ssim, abs=1e-9)
    assert psnr_y(a, b, border, convention) == pytest.approx(psnr, abs=1e-9)


def photo_and_noise() -> tuple[np.ndarray, np.ndarray]:
    a = data.astronaut()[100:180, 200:300]
    return a, jpeg(a, 20)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_must_always_hold(convention: str) -> None:
    a, b = photo_and_noise()
    psnr, ssim = psnr_y(a, b, 2, convention), ssim_y(a, b, 2, convention)
    assert 0 < ssim < 1
    assert psnr_y(a, a, 2, convention) == math.inf
    assert ssim_y(a, a, 2, convention) == pytest.approx(1, abs=1e-12)
    assert (psnr_y(b, a, 2, convention), ssim_y(b, a, 2, convention)) == pytest.approx((psnr, ssim), abs=1e-9)
    for turned in (lambda image: image[:, ::-1], lambda image: image[::-1], lambda image: image.swapaxes(0, 1)):
        assert ssim_y(turned(a), turned(b), 2, convention) == pytest.approx(ssim, abs=1e-9)
    shaved = a[2:-2, 2:-2], b[2:-2, 2:-2]
    assert (psnr_y(*shaved, 0, convention), ssim_y(*shaved, 0, convention)) == (psnr, ssim)


def test_the_conventions_agree_in_psnr_and_differ_in_ssim() -> None:
    a, b = photo_and_noise()
    of_colour = [name for name in CONVENTIONS if name != "grey"]
    psnr = [psnr_y(a, b, 4, convention) for convention in of_colour]
    ssim = [ssim_y(a, b, 4, convention) for convention in of_colour]
    assert max(psnr) - min(psnr) < 1e-4
    assert len({round(value, 5) for value in ssim}) == 3
    assert (psnr_y(a, b, 4), ssim_y(a, b, 4)) == (psnr[0], ssim[0])  # `matlab` where none is named


@given(difference=st.integers(1, 255))
def test_psnr_of_a_constant_difference(difference: int) -> None:
    black = np.zeros((12, 13, 3), np.uint8)
    assert psnr_rgb(black, black + np.uint8(difference)) == pytest.approx(20 * math.log10(255 / difference))


@pytest.mark.filterwarnings("error")
def test_tensors_and_arrays_of_any_layout_are_taken_unchanged() -> None:
    a, b = photo_and_noise()
    expected = psnr_y(a, b, 1), ssim_y(a, b, 1), psnr_rgb(a, b)
    frozen, mirrored = a.copy(), np.ascontiguousarray(a[:, ::-1])[:, ::-1]  # read-only; negative strides
    frozen.flags.writeable = False
    for other in (frozen, mirrored, torch.tensor(a)):
        noise = torch.tensor(b) if isinstance(other, torch.Tensor) else b
        found = psnr_y(other, noise, 1), ssim_y(other, noise, 1), psnr_rgb(other, noise)
        assert found == expected
        assert np.array_equal(other, a)


def test_the_number_of_threads_is_left_as_it_was() -> None:
    a, b = photo_and_noise()
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        psnr_y(a, b, 0), ssim_y(a, b, 0), psnr_rgb(a, b)
        with pytest.raises(MetricError):
            ssim_y(a, b, 50)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("a", "b", "border", "said"),
    [
        (np.zeros((20, 30, 3), np.uint8), np.zeros((20, 31, 3), np.uint8), 0, "30x20 and 31x20"),
        (np.zeros((20, 30, 3), np.float32), np.zeros((20, 30, 3), np.uint8), 0, "uint8"),
        (np.zeros((20, 30), np.uint8), np.zeros((20, 30), np.uint8), 0, "height x width x 3"),
        (torch.zeros(3, 20, 30, dtype=torch.uint8), torch.zeros(3, 20, 30, dtype=torch.uint8), 0, "(3, 20, 30)"),
        (torch.zeros(20, 30, 3), torch.zeros(20, 30, 3), 0, "float32"),
        (np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30, 3), np.uint8), -1, "border -1"),
        (np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30, 3), np.uint8), 10, "leaves 10x0"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(a, b, border: int, said: str) -> None:
    for metric in (psnr_y, ssim_y, psnr_rgb):
        with pytest.raises(MetricError) as error:
            metric(a, b, border)
        assert said in str(error.value) and "\n" not in str(error.value)


def test_ssim_needs_room_for_a_window_and_psnr_does_not() -> None:
    image = np.zeros((14, 20, 3), np.uint8)
    assert ssim_y(image[:11], image[:11], 0) == 1
    assert psnr_y(image, image + np.uint8(1), 2) > 40
    with pytest.raises(MetricError, match="11x11 is needed"):
        ssim_y(image, image, 2)


def test_an_unknown_convention_is_refused() -> None:
    image = np.zeros((14, 20, 3), np.uint8)
    for metric in (psnr_y, ssim_y):
        with pytest.raises(MetricError, match="matlab, edsr, cisr_psi"):
            metric(image, image, 0, "Matlab")


# LPIPS: the ImageNet weights are too large to ship, so the backbone here is random, from a seed.
LAYERS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def random_backbone() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    state = {}
    for layer, (out, into, side) in LAYERS.items():
        weight = torch.randn(out, into, side, side, generator=random)
        state[f"features.{layer}.weight"] = weight * math.sqrt(2 / (into * side**2))
        state[f"features.{layer}.bias"] = torch.randn(out, generator=random) * 0.1
    return state


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "alexnet-owt-7be5be79.pth"
    torch.save({**random_backbone(), "classifier.1.bias": torch.zeros(1)}, path)  # torchvision's file has more
    return path


def composed_lpips(a: np.ndarray, b: np.ndarray, unit_range: bool) -> float:
    """LPIPS put together from the paper: AlexNet's five activations, unit length, squared, weighted, averaged."""
    import lpips

    heads = torch.load(Path(lpips.__file__).parent / "weights/v0.1/alex.pth", "cpu", weights_only=True)
    state = random_backbone()
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    gain = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)

    def activations(image: np.ndarray) -> list[torch.Tensor]:
        x = torch.tensor(image).permute(2, 0, 1)[None] / 255
        x = ((x if unit_range else 2 * x - 1) - shift) / gain
        found = []
        for layer in LAYERS:
            if layer in (3, 6):
                x = F.max_pool2d(x, 3, 2)
            stride, padding = {0: (4, 2), 3: (1, 2)}.get(layer, (1, 1))
            weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return found

    pairs = zip(activations(a), activations(b), strict=True)
    return sum(
        F.conv2d((x - y).square(), heads[f"lin{n}.model.1.weight"]).mean().item() for n, (x, y) in enumerate(pairs)
    )


def test_lpips_is_the_papers_composition_in_both_ranges(backbone: Path) -> None:
    a, b = photo_and_noise()
    values = {}
    for name in ("standard", "unit_range"):
        lpips = Lpips(range=name, weights=backbone)
        values[name] = lpips(a, b)
        assert values[name] == pytest.approx(composed_lpips(a, b, name == "unit_range"), abs=1e-6)
        assert lpips(b, a) == pytest.approx(values[name], abs=1e-6)
        assert lpips(a, a) == 0
        assert lpips(torch.tensor(a), torch.tensor(b)) == values[name]
        floats = Unrounded(a.astype(np.float32))
        assert lpips(floats, b) == values[name] and np.array_equal(floats.values, a)  # and left as they were
    assert abs(values["standard"] - values["unit_range"]) > 1e-3


@pytest.mark.filterwarnings("error")
def test_making_lpips_is_silent_and_leaves_random_numbers_alone(backbone: Path, capfd) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    Lpips(weights=backbone)
    assert torch.equal(torch.rand(1), expected)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("features.8.bias"), "features.8.bias"),
        (lambda state: state.update({"features.3.weight": torch.zeros(1)}), "features.3.weight"),
    ],
)
def test_lpips_refuses_weights_of_another_network(tmp_path: Path, change, said: str) -> None:
    state = random_backbone()
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(LossWeightsError, match=said):
        Lpips(weights=tmp_path / "other.pth")


def test_lpips_refuses_what_it_cannot_use(backbone: Path) -> None:
    with pytest.raises(MetricError, match="alex, vgg, squeeze"):
        Lpips(net="alexnet", weights=backbone)
    with pytest.raises(MetricError, match="standard, unit_range"):
        Lpips(range="unit", weights=backbone)
    with pytest.raises(MetricError, match="32x32 is needed"):
        Lpips(weights=backbone)(*(np.zeros((31, 64, 3), np.uint8),) * 2)
