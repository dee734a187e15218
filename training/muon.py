"""Muon: for kernels, momentum that is made orthogonal; for biases and other vectors, Adam.

Adam follows the few directions that dominate a kernel's gradient; Muon moves every direction of the kernel's matrix by
the same amount (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/). Its steps are scaled to the size of
Adam's, so both kinds of parameter share one learning rate (Liu et al. 2025, arXiv 2502.16982, section 2.2, equation 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_MOMENTUM = 0.95
"""Decay of a kernel's average gradient (Jordan et al. 2024)."""
_SIZE = 0.2
"""Root mean square of a kernel's step, in learning rates; Adam's is usually 0.2 to 0.4 (Liu et al. 2025)."""
_QUINTIC = (3.4445, -4.7750, 2.0315)
"""a, b, c of x ← a·x + b·(x·xᵀ)·x + c·(x·xᵀ)²·x, which takes all singular values to about 1 in five steps."""
_EPS = 1e-8
"""Added to Adam's denominator and to a kernel's norm."""

State = dict[str, Tensor]


class Muon(Optimizer):
    """Muon for parameters of two dimensions or more, seen as matrices `outputs × the rest`; Adam for the others.

    The kernels are the first parameter group, the others the second.

    Args:
        parameters: what to train.
        lr: learning rate, as for Adam.
        betas: decays of Adam's averages.
        weight_decay: decoupled decay; each step takes off `lr × weight_decay` of a weight.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, betas: tuple[float, float], weight_decay: float):
        given = list(parameters)
        kernels: dict[str, Any] = {"params": [kernel for kernel in given if kernel.ndim > 1], "momentum": _MOMENTUM}
        vectors: dict[str, Any] = {"params": [vector for vector in given if vector.ndim <= 1], "betas": betas}
        super().__init__([kernels, vectors], {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every parameter that has a gradient.

        Args:
            closure: computes the loss and its gradients first; the loss is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kernels, vectors = self.param_groups
        alike: dict[Any, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for kernel in kernels["params"]:
            if kernel.grad is not None:
                ahead = self._ahead(self.state[kernel], kernel.grad, kernels["momentum"])
                alike[kernel.shape, kernel.dtype, kernel.device].append((kernel, ahead.flatten(1)))
        for same in alike.values():  # kernels of one shape together: many small products would each wait for a launch
            directions = orthogonal(torch.stack([matrix for _, matrix in same]))
            for (kernel, _), direction in zip(same, directions):
                _move(kernel, direction.view_as(kernel), kernels, _SIZE * max(direction.shape) ** 0.5)
        for vector in vectors["params"]:
            if vector.grad is not None:
                _move(vector, self._adam(self.state[vector], vector.grad, *vectors["betas"]), vectors)
        return loss

    def _ahead(self, state: State, gradient: Tensor, decay: float) -> Tensor:
        """The average gradient, one step ahead (Nesterov)."""
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average = state["momentum_buffer"].lerp_(gradient, 1 - decay)
        return gradient.lerp(average, decay)

    def _adam(self, state: State, gradient: Tensor, first: float, second: float) -> Tensor:
        if not state:
            state["step"] = torch.zeros(())  # on the CPU, as torch's Adam has it: reading it does not wait for a device
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
        state["step"] += 1
        steps = state["step"].item()
        mean = state["exp_avg"].lerp_(gradient, 1 - first) / (1 - first**steps)
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - second) / (1 - second**steps)
        return mean / (square.sqrt() + _EPS)


def orthogonal(matrices: Tensor) -> Tensor:
    """For each matrix, about the nearest one with orthonormal rows or columns: its singular values become 0.7 to 1.2.

    Args:
        matrices: floats `n×r×c`.
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + _EPS)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _move(parameter: Tensor, direction: Tensor, group: dict[str, Any], size: float = 1.0) -> None:
    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"] * size)
