"""Autocast, switched off for a part of a computation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def without_autocast(device_type: str) -> AbstractContextManager[object, bool | None]:
    """Switch autocast off. Devices without it need nothing: `meta`, where shapes, operations and memory are counted."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
