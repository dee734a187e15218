"""ImageNet networks whose features the perceptual losses and LPIPS compare, and their weight files.

A file is opened without ever running code from it. It holds torchvision's `features.N.*`, as the whole
classifiers that torchvision publishes do.
"""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from utils.torch_files import TorchFileError, load_torch_file

Network = Literal["vgg19", "vgg16", "alexnet", "squeezenet1_1"]

FILES: dict[str, str] = {
    "vgg19": "vgg19-dcbb9e9d.pth",
    "vgg16": "vgg16-397923af.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "squeezenet1_1": "squeezenet1_1-b8a52dc0.pth",
}
"""torchvision's names of its files; the part after the last dash begins the file's SHA-256."""
ADDRESS = "https://download.pytorch.org/models/"
FOLDER = Path("checkpoints")
"""Where a file is looked for first, under torchvision's name."""


# Written down, as options are checked by them: torchvision takes two seconds to import.
VGG_STAGES = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions before each pooling."""


class LossWeightsError(Exception):
    """Weights that a loss needs and cannot have; one line that says what to put where."""


def layer_names(network: Network) -> dict[str, int]:
    """Index in `features` of every convolution: `conv<stage>_<number>`, for AlexNet `conv<number>`."""
    if network == "alexnet":
        return {f"conv{number}": index for number, index in enumerate((0, 3, 6, 8, 10), start=1)}
    if network not in VGG_STAGES:
        raise ValueError(f"no layer names of {network!r}: choose from alexnet, {', '.join(VGG_STAGES)}")
    names: dict[str, int] = {}
    index = 0
    for stage, convolutions in enumerate(VGG_STAGES[network], start=1):
        for number in range(1, convolutions + 1):
            names[f"conv{stage}_{number}"] = index
            index += 2  # its ReLU follows
        index += 1  # the pooling
    return names


def find_weights(network: Network, given: Path | None = None) -> Path:
    """The file with the weights of `network`: `given`, or torchvision's own.

    That is looked for in `checkpoints/` and in torch's cache (`torch.hub.get_dir()`), else downloaded there.

    Raises:
        LossWeightsError: `given` does not exist, or nothing can be downloaded.
    """
    if given is not None:
        if not given.is_file():
            raise LossWeightsError(f"{given}: no such file with weights of {network}")
        return given
    name = FILES[network]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    for path in (FOLDER / name, cached):
        if path.is_file():
            return path
    try:
        _download(ADDRESS + name, cached)
    except (OSError, RuntimeError) as error:  # no network, no room, or a file of another SHA-256
        raise LossWeightsError(
            f"weights of {network} are not here and cannot be downloaded ({error}): "
            f"get {ADDRESS}{name} and put it into {FOLDER}/"
        ) from None
    return cached


def load_backbone(network: Network, weights: Path, layers: int) -> nn.Sequential:
    """The first `layers` of the network's features, frozen, in eval mode, float32 on the CPU.

    Raises:
        LossWeightsError: not a file of plain tensors, or missing, unexpected or misshapen ones (named).
    """
    try:
        content = load_torch_file(weights)
    except (TorchFileError, OSError) as error:
        raise LossWeightsError(f"{weights}: {error}") from None
    state = {
        name.removeprefix("features."): tensor
        for name, tensor in (content.items() if isinstance(content, dict) else ())
        if isinstance(tensor, Tensor) and name.startswith("features.")
    }
    features = _without_weights(network)
    expected = features.state_dict()
    wrong = [f"features.{name} missing" for name in expected if name not in state]
    wrong += [f"features.{name} unexpected" for name in state if name not in expected]
    wrong += [
        f"features.{name} of shape {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise LossWeightsError(f"{weights}: not the weights of {network}: {', '.join(wrong[:4])}{more}")
    features = features[:layers]
    features.load_state_dict({name: state[name].float() for name in features.state_dict()}, assign=True)
    return features.requires_grad_(False).eval()


def _without_weights(network: Network) -> nn.Sequential:
    if network not in get_args(Network):
        raise ValueError(f"no network {network!r}: choose from {', '.join(get_args(Network))}")
    import torchvision

    with torch.device("meta"):  # neither memory nor random numbers
        return getattr(torchvision.models, network)(weights=None).features


def _download(address: str, target: Path) -> None:
    # A server that does not answer is found out in seconds; torch's own download would wait for minutes.
    urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=10).close()
    target.parent.mkdir(parents=True, exist_ok=True)
    sha256 = target.stem.rpartition("-")[2]
    torch.hub.download_url_to_file(address, str(target), hash_prefix=sha256, progress=sys.stderr.isatty())
