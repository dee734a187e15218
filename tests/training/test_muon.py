"""Muon against the plain statement of its steps, and what it keeps in a checkpoint."""

import math

import pytest
import torch
from torch import nn

from models.layers import conv3
from training.muon import Muon, orthogonal
from training.optimization import OptimizerOptions, build_optimizer
from utils.options import validate


def network():
    torch.manual_seed(1)
    return nn.Sequential(conv3(3, 8), nn.PReLU(), conv3(8, 8), conv3(8, 8), nn.Conv2d(8, 3, 1)).double()


def train(network, optimizer, iterations, first=0):
    for iteration in range(first, first + iterations):
        images = torch.rand(2, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(iteration))
        optimizer.zero_grad()
        (network(images) - images).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(6, 30), (30, 6), (9, 9), (1, 5), (5, 1)])
def test_directions_stay_and_lengths_become_about_one(shape):
    matrices = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for matrix, found in zip(matrices, orthogonal(matrices)):
        left, lengths, right = torch.linalg.svd(matrix, full_matrices=False)
        inner = left.T @ found @ right.T
        assert torch.allclose(inner, torch.diag(inner.diagonal()), atol=1e-9)
        long = inner.diagonal()[lengths > 0.02 * lengths.sum()]
        assert len(long) and long.min() > 0.6 and long.max() < 1.25


def test_a_kernel_without_gradient_stays():
    assert torch.equal(orthogonal(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_steps_are_those_of_the_plain_statement():
    """Jordan et al. 2024 for kernels, one by one; Adam for the others; decay as Loshchilov and Hutter state it."""
    found, expected = network(), network()
    lr, decay, (first, second) = 0.01, 0.1, (0.9, 0.999)
    train(found, Muon(found.parameters(), lr, (first, second), decay), 4)
    averages = [torch.zeros_like(parameter) for parameter in expected.parameters()]
    squares = [torch.zeros_like(parameter) for parameter in expected.parameters()]
    for iteration in range(4):
        images = torch.rand(2, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(iteration))
        loss = (expected(images) - images).square().mean()
        gradients = torch.autograd.grad(loss, list(expected.parameters()))
        for number, (parameter, gradient) in enumerate(zip(expected.parameters(), gradients)):
            if parameter.ndim > 1:
                averages[number] = 0.95 * averages[number] + 0.05 * gradient
                matrix = (0.05 * gradient + 0.95 * averages[number]).flatten(1)
                rows, columns = matrix.shape
                x = matrix / (matrix.square().sum().sqrt() + 1e-8)
                for _ in range(5):
                    x = 3.4445 * x - 4.7750 * (x @ x.T) @ x + 2.0315 * (x @ x.T) @ (x @ x.T) @ x
                step = 0.2 * math.sqrt(max(rows, columns)) * x.view_as(parameter)
            else:
                averages[number] = first * averages[number] + (1 - first) * gradient
                squares[number] = second * squares[number] + (1 - second) * gradient.square()
                mean, square = averages[number] / (1 - first ** (iteration + 1)), squares[number]
                step = mean / ((square / (1 - second ** (iteration + 1))).sqrt() + 1e-8)
            parameter.data = parameter.data - lr * (decay * parameter.data + step)
    for name, parameter in expected.named_parameters():
        assert torch.allclose(found.get_parameter(name), parameter, rtol=0, atol=1e-11), name


def test_a_kernels_step_has_the_size_of_adams():
    weight = nn.Parameter(torch.zeros(16, 12, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    Muon([weight], 0.01, (0.9, 0.999), 0.0).step()
    assert weight.square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.2)


def test_a_state_that_was_saved_goes_on_to_the_same_weights():
    whole, halves = network(), network()
    train(whole, Muon(whole.parameters(), 0.01, (0.9, 0.99), 0.01), 6)
    before = Muon(halves.parameters(), 0.01, (0.9, 0.99), 0.01)
    train(halves, before, 3)
    after = Muon(halves.parameters(), 1.0, (0.9, 0.99), 0.01)
    after.load_state_dict(before.state_dict())
    train(halves, after, 3, first=3)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters()))


def test_parameters_without_gradient_and_kinds_that_are_missing():
    options = validate({"type": "muon", "lr": 0.1}, OptimizerOptions, "x")
    bias, kernel, idle = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    for parameters in ([bias], [kernel], [bias, kernel, idle]):
        optimizer = build_optimizer(options, parameters, fused=False)
        for parameter in parameters:
            parameter.grad = None if parameter is idle else torch.ones_like(parameter)
        optimizer.step()
    assert torch.equal(idle, torch.ones(2, 2)) and bias[0] < 1 and kernel[0, 0] < 1


def test_kernels_stay_on_their_device_and_never_wait_for_it(fake_cuda):
    """Biases read their count of steps on the CPU, as torch's Adam does; no fake tensor can be read."""
    with fake_cuda():
        layer = nn.Conv2d(3, 4, 3, bias=False, device="cuda")
        optimizer = Muon(layer.parameters(), 0.1, (0.9, 0.999), 0.0)
        for _ in range(2):
            layer.weight.grad = torch.ones_like(layer.weight)
            optimizer.step()
        assert optimizer.state[layer.weight]["momentum_buffer"].device.type == "cuda"
