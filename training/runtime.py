"""Devices, processes, precision and memory layout of a run."""

from __future__ import annotations

import os
from typing import Literal, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import Optimizer

from utils.errors import UserError
from utils.section import Section

Module = TypeVar("Module", bound=nn.Module)


class RuntimeOptions(Section):
    """Where and how a run computes; of these options only `minutes` changes what is trained."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: CUDA where there is one."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of the networks' forward pass; images, losses and weights are always float32, and fp16 scales the loss.
    fp32 is the default because bf16 keeps eight significant bits of every feature."""
    tf32: bool = True
    """Let CUDA matrix products of float32 use TF32."""
    channels_last: bool = True
    """Memory layout NHWC, in which convolutions are fastest, also on CPUs."""
    compile: bool = False
    """`torch.compile` the training step; validation stays eager."""
    autotune: bool = True
    """Let cuDNN try several algorithms for each convolution, which takes seconds to half a minute at the start."""
    fused: bool | None = None
    """One kernel for the whole optimiser step; null: on CUDA only."""
    deterministic: bool = False
    """Refuse operations whose result depends on timing (see docs/training.md)."""
    minutes: float | None = Field(default=None, gt=0)
    """End all stages together after this time. Their `iterations` are then shares of the time, and schedules and
    `every` use the same scale; two runs no longer end with the same weights (docs/training.md)."""


class Runtime:
    """The options applied to this machine, by means of accelerate.

    Attributes:
        accelerator: wraps, autocasts, scales and gathers.
        device: of this process.
        layout: memory layout of networks and batches.
        fused: resolved from null.

    Raises:
        UserError: CUDA is requested but missing, or the device does not support the precision.
    """

    def __init__(self, options: RuntimeOptions):
        from accelerate import Accelerator

        cuda = torch.cuda.is_available() and options.device != "cpu"
        if options.device == "cuda" and not cuda:
            raise UserError("runtime.device is cuda and torch sees no CUDA device; install a CUDA build or use auto")
        if options.precision == "fp16" and not cuda:
            raise UserError("runtime.precision fp16 needs CUDA; use bf16 or fp32 on the CPU")
        if options.precision == "bf16" and cuda and not torch.cuda.is_bf16_supported():
            raise UserError("this GPU has no bf16; use runtime.precision fp16 or fp32")
        if options.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = (  # training patches keep one size
            cuda and options.autotune and not options.deterministic
        )
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
        self.options = options
        self.accelerator = Accelerator(
            cpu=not cuda, mixed_precision={"fp32": "no"}.get(options.precision, options.precision)
        )
        self.device = self.accelerator.device
        self.layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.fused = cuda if options.fused is None else options.fused

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.accelerator.is_main_process

    @property
    def rank(self) -> int:
        """Index of this process, from 0."""
        return self.accelerator.process_index

    @property
    def ranks(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes

    def place(self, module: Module) -> Module:
        """Move `module` to the device and the memory layout of the run, in place."""
        return module.to(self.device).to(memory_format=self.layout)

    def prepare(self, step: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """The step and its optimiser, wrapped for processes, precision and compilation."""
        step, optimizer = self.accelerator.prepare(step, optimizer)
        return (cast(nn.Module, torch.compile(step)) if self.options.compile else step), optimizer

    def to_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Copy a batch of the loader to the device, without waiting for the copy.

        Images, N×h×w×3 on 0–255, become float N×3×h×w in [0, 1]; numbers per image do not change.
        """
        moved = {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}
        return {name: _images(values, self.layout) if values.ndim == 4 else values for name, values in moved.items()}

    def close(self) -> None:
        """Leave the process group: otherwise torch's threads may abort the process when it exits."""
        self.accelerator.end_training()

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes, differentiable on all of them."""
        return _SumOverProcesses.apply(value) / self.ranks if self.ranks > 1 else value


def _images(pixels: Tensor, layout: torch.memory_format) -> Tensor:
    return pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=layout).div_(255)


class _SumOverProcesses(torch.autograd.Function):
    """Each process's term affects the losses of all processes: its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_, value: Tensor) -> Tensor:
        value = value.clone()
        torch.distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(_, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.forward(None, gradient)
