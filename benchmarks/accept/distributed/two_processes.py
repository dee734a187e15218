"""Run by torchrun in two processes on one device: data-parallel SGD by gloo against one process."""

from __future__ import annotations

import json
import sys

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models import build_generator

RRDBNET = {"type": "rrdbnet", "scale": 2, "num_feat": 8, "num_block": 1, "num_grow_ch": 4, "pixel_unshuffle": False}
STEPS, BATCH, SIDE = 3, 4, 16


def network(device: torch.device) -> nn.Module:
    torch.manual_seed(0)
    return build_generator(RRDBNET).to(device).train()


def train(step: nn.Module, lr: Tensor, hr: Tensor) -> None:
    """A few steps of SGD on one batch."""
    optimizer = torch.optim.SGD(step.parameters(), lr=1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.l1_loss(step(lr), hr).backward()
        optimizer.step()


def main() -> None:
    """Process 0 prints the largest difference of the weights as JSON."""
    device = torch.device(sys.argv[1])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    torch.manual_seed(1)
    lr, hr = torch.rand(BATCH, 3, SIDE, SIDE).to(device), torch.rand(BATCH, 3, 2 * SIDE, 2 * SIDE).to(device)
    whole, shared = network(device), network(device)
    train(whole, lr, hr)
    mine = slice(rank * BATCH // 2, (rank + 1) * BATCH // 2)
    train(DistributedDataParallel(shared), lr[mine], hr[mine])
    apart = max(float((a - b).abs().max()) for a, b in zip(whole.parameters(), shared.parameters()))
    if rank == 0:
        print(json.dumps({"apart": apart}), flush=True)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
