"""Floating-point operations, counted by torch: of a forward pass, a mining and a step of the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.flop_counter import FlopCounterMode

from hsa_bench.core.processes import world
from pretrain.progress import Progress


def forward_flops(module: nn.Module, size: int) -> float:
    """Count multiplications and additions for one image of `size` px; the module is left in its mode."""
    mode, like = module.training, next(module.parameters())
    image = torch.zeros(1, 3, size, size, device=like.device, dtype=like.dtype)
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module.eval()(image)
    finally:
        module.train(mode)
    return float(counter.get_total_flops())


def mining_flops(trunk: nn.Module, size: int, images: int, features: Tensor) -> float:
    """Count what it takes to embed all images at `size` px and to compare each with each."""
    return images * forward_flops(trunk, size) + 2.0 * images**2 * features.shape[1]


@contextmanager
def count_step(progress: Progress, enabled: bool) -> Iterator[None]:
    """Count one process's part of a step; the progress gets that of all processes."""
    if not enabled:
        yield
        return
    with FlopCounterMode(display=False) as counter:
        yield
    progress.step_flops = float(counter.get_total_flops() * world())


@contextmanager
def uncounted() -> Iterator[None]:
    """Leave a block out of the count around it, as views made on the device are not part of a step."""
    with _disable_current_modes():
        yield
