"""Device memory that a stage needs, counted on the meta device."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.optim import Optimizer

from data.datasets import Batch
from models import build_generator
from training.muon import Muon
from training.options import TrainOptions
from training.recipes import RECIPES
from training.runtime import Runtime


@dataclass(frozen=True)
class StageMemory:
    """Bytes of one process in float32, by purpose."""

    weights: int
    """All networks, including those of losses and the EMA."""
    gradients: int
    optimizer: int
    """Two averages of Adam and AdamW, one of SGD."""
    batches: int
    """The micro-batches of an iteration, and one that is copied in advance."""
    activations: int
    """Tensors kept for the backward pass of one micro-batch, each storage once; the largest of several passes."""

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return self.weights + self.gradients + self.optimizer + self.batches + self.activations


class _MetaRuntime:
    """The part of `Runtime` that recipes use, on the meta device; a backward pass counts the tensors it would free."""

    device = torch.device("meta")
    fused = False

    def __init__(self) -> None:
        self.accelerator = SimpleNamespace(
            backward=self._backward, no_sync=lambda step: nullcontext(), unscale_gradients=lambda optimizer: None
        )
        self.kept: dict[int, torch.UntypedStorage] = {}
        self.most: list[torch.UntypedStorage] = []

    def place(self, module: nn.Module) -> nn.Module:
        return module.to("meta")

    def prepare(self, step: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        return step, optimizer

    def mean(self, value: Tensor) -> Tensor:
        return value

    def keep(self, tensor: Tensor) -> Tensor:
        """Hook for saved tensors: hold the storage, so that its id is not reused."""
        storage = tensor.untyped_storage()
        self.kept[id(storage)] = storage
        return tensor

    def _backward(self, _loss: Tensor) -> None:
        self.most = max(self.most, list(self.kept.values()), key=_size)
        self.kept = {}


def stage_memory(options: TrainOptions, position: int, ranks: int = 1) -> StageMemory:
    """Memory of a stage on each of `ranks` processes: runs an iteration on the meta device and counts saved tensors.

    Not counted: temporary results such as gradients of activations, workspaces of convolutions, fragmentation, the CUDA
    context, validation, and the block that a network with checkpointing computes again. With `runtime.precision` bf16
    or fp16 the activations take closer to half of this.

    Raises:
        LossWeightsError: the weights of a perceptual loss are missing.
    """
    stage = options.stages[position]
    runtime = _MetaRuntime()
    with torch.device("meta"):
        generator = build_generator(options.generator.model_copy(update={"weights": None}))
        recipe = RECIPES[stage.recipe.type](stage.recipe, generator.train(), stage, cast(Runtime, runtime))
    recipe.set_iteration(stage.iterations - 1)
    # The recipe holds the networks of its losses besides those that it trains.
    modules = [*recipe.networks.values(), *(part for part in vars(recipe).values() if isinstance(part, nn.Module))]
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    batch = _batch(
        options,
        stage.batch_size // (stage.accumulate * ranks),
        clean_lr=recipe.needs_clean_lr,
        steps=generator.reads_steps,
    )
    elsewhere = {id(storage): storage for storage in (t.untyped_storage() for t in (*tensors, *batch.values()))}
    trained = {
        name: sum(p.numel() * p.element_size() for group in optimizer.param_groups for p in group["params"])
        for name, optimizer in recipe.optimizers.items()
    }
    averages = {name: 1 if isinstance(o, (torch.optim.SGD, Muon)) else 2 for name, o in recipe.optimizers.items()}
    weights = _size(list({id(storage): storage for storage in (t.untyped_storage() for t in tensors)}.values()))
    ema = 0 if stage.ema is None else sum(t.numel() * t.element_size() for t in generator.state_dict().values())
    with saved_tensors_hooks(runtime.keep, lambda tensor: tensor):
        recipe.iteration([batch])
    return StageMemory(
        weights=weights + ema,
        gradients=sum(trained.values()),
        optimizer=sum(averages[name] * size for name, size in trained.items()),
        batches=(stage.accumulate + 1) * sum(t.numel() * t.element_size() for t in batch.values()),
        activations=_size([storage for storage in runtime.most if id(storage) not in elsewhere]),
    )


def _batch(options: TrainOptions, size: int, *, clean_lr: bool, steps: bool) -> Batch:
    lr, hr = (
        torch.empty(size, 3, side, side, device="meta")
        for side in (options.data.train.patch_size, options.data.train.patch_size * options.generator.scale)
    )
    extra = {"clean_lr": torch.empty_like(lr)} if clean_lr else {}
    if steps:
        extra["steps"] = torch.empty(size, 2, device="meta")
    return {"lr": lr, "hr": hr, **extra}


def _size(storages: list[torch.UntypedStorage]) -> int:
    return sum(storage.nbytes() for storage in storages)
