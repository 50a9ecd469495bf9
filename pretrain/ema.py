"""The momentum encoder's update (MoCo, arXiv:1911.05722, eq. 2)."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """theta_k <- momentum * theta_k + (1 - momentum) * theta_q, parameters only.

    Batch-norm statistics are each encoder's own, as in MoCo's code.
    """
    for theta_k, theta_q in zip(key.parameters(), query.parameters(), strict=True):
        theta_k.mul_(momentum).add_(theta_q, alpha=1 - momentum)
