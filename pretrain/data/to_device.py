"""A tensor of the CPU to the device that trains, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """Copy a small tensor from the CPU; a GPU takes it when it has done what is before it."""
    if device.type == "cuda":
        x = x.pin_memory()  # from pageable memory the copy would wait for all that the GPU has to do
    return x.to(device, non_blocking=True)
