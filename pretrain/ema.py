"""The momentum encoder's update (MoCo, arXiv:1911.05722, eq. 2)."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def follow(key: nn.Module, query: nn.Module, momentum: float) -> None:
    """theta_k <- momentum * theta_k + (1 - momentum) * theta_q, parameters only.

    Batch-norm statistics are each encoder's own, as in MoCo's code.
    """
    get_ema_multi_avg_fn(momentum)(list(key.parameters()), list(query.parameters()), 1)
