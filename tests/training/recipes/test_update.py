"""`Update`: one optimiser step on the mean of the losses of several parts."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training.optimization import OptimizationOptions
from training.recipes.update import Update
from utils.options import validate

LR = 0.5


class NotedRuntime:
    """A runtime on the CPU that notes in which parts gradients are not exchanged."""

    fused = False

    def __init__(self):
        self.events = []
        self.accelerator = SimpleNamespace(
            backward=self.backward, no_sync=self.no_sync, unscale_gradients=lambda optimizer: None
        )

    def prepare(self, step, optimizer):
        return step, optimizer

    def backward(self, loss):
        self.events.append("backward")
        loss.backward()

    @contextmanager
    def no_sync(self, network):
        self.events.append("without exchange")
        yield
        self.events.append("end")


def make(runtime, **stage):
    """An update of one weight by SGD, and the weight."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, 2.0)
    values = {"iterations": 10, "optimizer": {"type": "sgd", "lr": LR, "momentum": 0.0}, **stage}
    options = validate(values, OptimizationOptions, "test")
    update = Update(network, options.optimizer, options, runtime)
    update.set_iteration(0)
    return update, network.weight


def run(update, inputs, share=None):
    for value in update.parts(inputs, share):
        output = update.network(torch.tensor([[value]])).sum()
        update.backward({"first": output, "second": 3 * output}, noted=torch.tensor(value))
    return update.step()


@pytest.mark.parametrize(("share", "factor"), [(None, 1 / 3), (0.5, 0.5)])
def test_one_step_on_the_shares_of_all_parts(share, factor):
    update, weight = make(NotedRuntime())
    terms = run(update, [1.0, 2.0, 6.0], share)
    assert weight.item() == pytest.approx(2 - LR * 4 * 9 * factor)
    expected = {"loss": 4 * 18 * factor, "first": 18 * factor, "second": 54 * factor, "noted": 9 * factor}
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(expected)
    assert not any(value.requires_grad for value in terms.values())


def test_a_single_term_is_the_loss():
    update, _ = make(NotedRuntime())
    for value in update.parts([1.0]):
        update.backward({"pixel": update.network(torch.tensor([[value]])).sum()})
    assert update.step().keys() == {"loss"}


def test_gradients_are_exchanged_in_the_last_part_alone():
    runtime = NotedRuntime()
    run(make(runtime)[0], [1.0, 2.0, 3.0])
    assert runtime.events == ["without exchange", "backward", "end"] * 2 + ["backward"]


def test_the_norm_is_clipped_and_returned():
    update, weight = make(NotedRuntime(), clip_grad_norm=0.25)
    assert float(run(update, [1.0])["grad_norm"]) == pytest.approx(4.0)
    assert weight.item() == pytest.approx(2 - LR * 0.25, rel=1e-5)


def test_an_update_begins_without_the_gradients_of_the_one_before():
    update, weight = make(NotedRuntime())
    run(update, [1.0])
    before = weight.item()
    run(update, [0.0])
    assert weight.item() == before
