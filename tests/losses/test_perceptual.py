"""Perceptual loss and LPIPS against torchvision and the lpips package, on random weights; files, refusals."""

import hashlib
import os
import warnings
from pathlib import Path

import pytest
import torch
import torchvision
from pydantic import ValidationError

from losses import (
    LossWeightsError,
    LpipsLoss,
    LpipsLossOptions,
    PerceptualLoss,
    PerceptualLossOptions,
    PixelLoss,
    PixelLossOptions,
    backbones,
    build_lpips,
    perceptual,
)

NETS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}


def state_of(network: str) -> dict[str, torch.Tensor]:
    """torchvision's features with random values that keep activations alive."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = getattr(torchvision.models, network)(weights=None).features.state_dict()
    return {
        f"features.{name}": torch.randn(tensor.shape, generator=generator)
        * (tensor.shape[1:].numel() if tensor.ndim > 1 else 1e4) ** -0.5
        for name, tensor in shapes.items()
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """A weight file per network, with a classifier's tensor beside the features as torchvision's own have."""
    folder = tmp_path_factory.mktemp("weights")
    for network in NETS.values():
        torch.save(state_of(network) | {"classifier.1.bias": torch.zeros(3)}, folder / f"{network}.pth")
    return {network: folder / f"{network}.pth" for network in NETS.values()}


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> Path:
    """An empty checkpoints/, an empty cache, and no way to download."""
    monkeypatch.setattr(backbones, "FOLDER", tmp_path / "checkpoints")
    monkeypatch.setattr(backbones, "ADDRESS", (tmp_path / "server").as_uri() + "/")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path


def pair(size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hr = torch.rand(2, 3, size, size, generator=generator)
    return (hr + 0.1 * torch.randn(hr.shape, generator=generator)).requires_grad_(), hr


def torchvisions(network: str, layers: int) -> torch.nn.Sequential:
    with torch.device("meta"):
        features = getattr(torchvision.models, network)(weights=None).features
    features.load_state_dict({name.removeprefix("features."): t for name, t in state_of(network).items()}, assign=True)
    return features[:layers]


@pytest.mark.parametrize(
    ("network", "layer", "layers", "distance"),
    [
        ("alexnet", "conv4", 9, "l1"),
        ("alexnet", "conv5", 11, "charbonnier"),
        ("vgg16", "conv2_2", 8, "l2"),
        ("vgg16", "conv5_3", 29, "l2"),
    ],
)
def test_distance_of_torchvisions_features(files, network, layer, layers, distance):
    options = PerceptualLossOptions(
        network=network, layer=layer, weights=files[network], distance=distance, weight=0.3, eps=1e-2
    )
    sr, hr = pair()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    transform = torchvision.transforms.Normalize(mean, std)
    features = torchvisions(network, layers)
    d = features(transform(sr)) - features(transform(hr))
    expected = {"l2": d**2, "l1": d.abs(), "charbonnier": (d**2 + 1e-2).sqrt()}[distance].mean() * 0.3
    (slope,) = torch.autograd.grad(expected, sr)
    loss = PerceptualLoss(options)(sr, hr)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, sr)[0], slope)


def test_the_default_ends_with_conv5_4_before_its_relu():
    assert backbones.layer_names("vgg19")[PerceptualLossOptions().layer] + 1 == 35
    assert list(backbones.layer_names("alexnet")) == [f"conv{n}" for n in range(1, 6)]
    counts = {network: len(backbones.layer_names(network)) for network in ("vgg16", "vgg19")}
    assert counts == {"vgg16": 13, "vgg19": 16}


@pytest.mark.parametrize("network", ["vgg16", "vgg19", "alexnet"])
def test_the_named_layers_are_torchvisions_convolutions_by_stage(network):
    stages, expected = 1, {}
    for index, layer in enumerate(getattr(torchvision.models, network)().features):
        if isinstance(layer, torch.nn.MaxPool2d):
            stages += 1
        elif isinstance(layer, torch.nn.Conv2d):
            expected[index] = stages
    named = backbones.layer_names(network)
    assert list(named.values()) == list(expected)
    if network != "alexnet":
        assert [int(name[4]) for name in named] == list(expected.values())


def test_frozen_float32_and_no_gradient_to_hr(files):
    loss = PerceptualLoss(PerceptualLossOptions(network="alexnet", layer="conv5", weights=files["alexnet"]))
    assert not any(p.requires_grad for p in loss.parameters()) and not loss.features.training
    sr, hr = pair()
    hr.requires_grad_()
    plain = loss(sr, hr)
    plain.backward()
    assert hr.grad is None and sr.grad.abs().sum() > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(sr, hr), plain)


def test_a_layer_that_is_not_there_is_refused_with_the_known_ones():
    with pytest.raises(ValidationError, match=r"vgg16 has no layer 'conv5_4': choose from conv1_1, .*conv5_3"):
        PerceptualLossOptions(network="vgg16")


def test_without_file_and_network_it_says_at_once_what_to_put_where(nowhere):
    with pytest.raises(LossWeightsError, match=r"get \S+vgg19-dcbb9e9d\.pth and put it into \S*checkpoints/"):
        perceptual.find_weights(PerceptualLossOptions())
    with pytest.raises(LossWeightsError, match=r"nothere\.pth: no such file"):
        perceptual.find_weights(PerceptualLossOptions(weights=nowhere / "nothere.pth"))


def test_weights_are_looked_for_in_checkpoints_then_in_torchs_cache(nowhere):
    cached = nowhere / "home" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    ours = nowhere / "checkpoints" / "vgg19-dcbb9e9d.pth"
    for path in (cached, ours):
        path.parent.mkdir(parents=True)
        path.touch()
        assert perceptual.find_weights(PerceptualLossOptions()) == path


def test_a_download_goes_to_the_cache_if_its_sha256_is_right(nowhere, monkeypatch):
    content = b"weights"
    sha256 = hashlib.sha256(content).hexdigest()
    (nowhere / "server").mkdir()
    for name in (f"vgg19-{sha256[:8]}.pth", "vgg19-01234567.pth"):
        (nowhere / "server" / name).write_bytes(content)
    monkeypatch.setitem(backbones.FILES, "vgg19", "vgg19-01234567.pth")
    with pytest.raises(LossWeightsError, match="cannot be downloaded"):
        perceptual.find_weights(PerceptualLossOptions())
    assert not list((nowhere / "home").rglob("*.pth"))
    monkeypatch.setitem(backbones.FILES, "vgg19", f"vgg19-{sha256[:8]}.pth")
    found = perceptual.find_weights(PerceptualLossOptions())
    assert found.read_bytes() == content and found.is_relative_to(nowhere / "home")


class Harmful:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_files_that_do_not_fit_are_refused_with_names(files, tmp_path):
    def refused(path: Path, said: str) -> None:
        with pytest.raises(LossWeightsError, match=said):
            PerceptualLoss(PerceptualLossOptions(network="alexnet", layer="conv1", weights=path))

    state = state_of("alexnet")
    torch.save({**state, "features.0.bias": torch.zeros(5)}, tmp_path / "shape.pth")
    refused(tmp_path / "shape.pth", r"features\.0\.bias of shape \(5,\) instead of \(64,\)$")
    torch.save({**state, "features.1.weight": torch.zeros(5)}, tmp_path / "extra.pth")
    refused(tmp_path / "extra.pth", r"features\.1\.weight unexpected$")
    del state["features.8.bias"]
    torch.save(state, tmp_path / "lacks.pth")
    refused(tmp_path / "lacks.pth", r"features\.8\.bias missing$")
    refused(files["vgg16"], r"vgg16\.pth: not the weights of alexnet: .* and \d+ more$")
    torch.save({"features.0.weight": Harmful(tmp_path / "ran")}, tmp_path / "harmful.pth")
    refused(tmp_path / "harmful.pth", r"harmful\.pth: not a file of plain tensors")
    assert not (tmp_path / "ran").exists()


def test_making_a_loss_draws_no_random_numbers(files):
    before = torch.get_rng_state()
    PerceptualLoss(PerceptualLossOptions(network="alexnet", layer="conv5", weights=files["alexnet"]))
    build_lpips("alex", files["alexnet"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def packages_lpips(monkeypatch):
    """The lpips package's own network on the same backbone, by the name of the net."""
    import lpips

    for function in ("normal_", "kaiming_normal_", "kaiming_uniform_", "uniform_", "constant_"):
        # Its random backbone has 138 million numbers, none of which is used.
        monkeypatch.setattr(torch.nn.init, function, lambda tensor, *_, **__: tensor)

    def build(net: str) -> torch.nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        state = state_of(NETS[net])
        for name, parameter in network.net.named_parameters():
            parameter.data = state["features." + name.split(".", 1)[1]]
        return network

    return build


@pytest.mark.parametrize("net", NETS)
def test_lpips_equals_the_package(files, packages_lpips, net):
    referee = packages_lpips(net)
    sr, hr = pair()
    for range_, normalize in (("standard", True), ("unit_range", False)):
        expected = referee(sr, hr, normalize=normalize).flatten()
        got = build_lpips(net, files[NETS[net]], range_)(sr, hr)
        torch.testing.assert_close(got, expected)
        slopes = [torch.autograd.grad(distance.sum(), sr)[0] for distance in (got, expected)]
        torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-7)


def test_lpips_has_a_gradient_where_all_features_are_zero(tmp_path, packages_lpips):
    state = state_of("alexnet")
    state["features.10.bias"] -= 1e3  # the last tap sees zeros
    torch.save(state, tmp_path / "dead.pth")
    options = LpipsLossOptions(net="alex", weights=tmp_path / "dead.pth", weight=0.5)
    sr, hr = pair()
    loss = LpipsLoss(options)(sr, hr)
    loss.backward()
    assert sr.grad.isfinite().all() and sr.grad.abs().sum() > 0
    network = build_lpips("alex", tmp_path / "dead.pth")
    assert loss.item() == pytest.approx(0.5 * network(sr, hr).mean().item())
    assert network(hr, hr).abs().max() == 0


def test_lpips_follows_autocast_only_where_it_is_told_to(files):
    sr, hr = pair()
    exact = build_lpips("alex", files["alexnet"])(sr, hr)
    with torch.autocast("cpu", torch.bfloat16):
        held, free = (
            LpipsLoss(LpipsLossOptions(net="alex", weights=files["alexnet"], autocast=autocast))(sr, hr)
            for autocast in (False, True)
        )
    assert torch.equal(held, exact.mean())
    assert free.dtype == torch.float32 and free != held
    assert free.item() == pytest.approx(held.item(), rel=0.02)


def test_losses_stay_on_their_device_and_never_wait_for_it(fake_cuda, files):
    for loss in (
        PixelLoss(PixelLossOptions(type="charbonnier", value_range=255)),
        PerceptualLoss(PerceptualLossOptions(network="alexnet", layer="conv5", weights=files["alexnet"])),
        LpipsLoss(LpipsLossOptions(net="alex", weights=files["alexnet"])),
    ):
        registered = dict(loss.named_parameters()) | dict(loss.named_buffers())
        with fake_cuda():
            moved = {name: torch.empty(tensor.shape, device="cuda") for name, tensor in registered.items()}
            images = tuple(torch.rand(2, 3, 64, 64, device="cuda") for _ in range(2))
            term = torch.func.functional_call(loss, moved, images)
        assert term.device.type == "cuda" and term.shape == () and term.dtype == torch.float32
