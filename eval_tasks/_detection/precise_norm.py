"""Batch norm's statistics taken anew after training (Wu & Johnson 2021, arXiv:2105.07576, sec. 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import nn

T = TypeVar("T")


@torch.no_grad()
def take_statistics(network: nn.Module, forward: Callable[[T], object], batches: Iterable[T]) -> None:
    """Set the running statistics of trained batch norms to their mean over some batches, in place.

    Args:
        network: In train mode; layers in eval mode are frozen and stay.
        forward: Runs the network on a batch.
        batches: Each counts the same.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    before = [norm.momentum for norm in norms]
    try:
        for i, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (i + 1)  # the running mean is then the mean so far
            forward(batch)
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
