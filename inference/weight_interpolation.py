"""Networks between trainings that began at the same weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from models import Generator


@torch.no_grad()
def interpolate(networks: Iterable[Generator], shares: list[float]) -> Generator:
    """The network whose weights are the sum of those of `networks` by `shares` (Wang et al., ESRGAN, section 3.4).

    Of use where trainings began at the same weights: between a network for PSNR and the adversarial one that it became,
    or for the mean of several ends of one training, often better than each (Izmailov et al., UAI 2018; Wortsman et al.,
    ICML 2022).

    Args:
        networks: of equal options, taken one at a time; the first is changed and returned.
        shares: one for each network; their sum is 1.
    """
    one_by_one = iter(networks)
    first = next(one_by_one)
    sums = {name: tensor.double() * shares[0] for name, tensor in _weights(first)}
    for network, share in zip(one_by_one, shares[1:], strict=True):
        for name, tensor in _weights(network):
            sums[name] += tensor.double() * share
    for name, tensor in _weights(first):
        tensor.copy_(sums[name])
    first.calibration = None  # it was the first network's alone
    return first


def _weights(network: Generator) -> Iterator[tuple[str, Tensor]]:
    return ((name, tensor) for name, tensor in network.state_dict().items() if tensor.is_floating_point())
