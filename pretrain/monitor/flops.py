"""Floating-point operations of a forward pass, counted by torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def forward_flops(module: nn.Module, size: int) -> float:
    """Multiplications and additions for one picture of `size` px; the module is left in its mode."""
    was, like = module.training, next(module.parameters())
    picture = torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module.eval()(picture)
    finally:
        module.train(was)
    return float(counter.get_total_flops())
