"""Autocast, switched off for a part of a computation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device_type: str) -> AbstractContextManager[object, bool | None]:
    """Switch autocast off; `meta`, where shapes, operations and memory are counted, has none."""
    if device_type == "meta":  # not `torch.amp.is_autocast_available`, which torch.compile cannot follow
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
