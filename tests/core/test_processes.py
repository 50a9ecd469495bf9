"""Gradients of several processes, as one of them gets them."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn

from hsa_bench.core import processes


def test_shared_gradients_lie_in_memory_as_their_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "world", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda x: x.mul_(2))  # the other process has the same
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)).to(memory_format=torch.channels_last)
    network(torch.randn(2, 3, 8, 8)).square().mean().backward()
    alone = [p.grad.clone() for p in network.parameters()]  # type: ignore[union-attr]  # all have one
    weights = [p.detach().clone() for p in network.parameters()]
    processes.average_gradients(network.parameters())
    torch.optim.SGD(network.parameters(), 0.1, fused=True).step()
    for after, before, gradient in zip(network.parameters(), weights, alone, strict=True):
        assert after.grad is not None and after.grad.stride() == after.stride()
        torch.testing.assert_close(after.detach(), before - 0.1 * gradient)
