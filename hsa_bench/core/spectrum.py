"""How many directions features use: spread and effective rank (Roy and Vetterli 2007, EUSIPCO)."""

from __future__ import annotations

import torch
from torch import Tensor


def spread(features: Tensor) -> float:
    """Root of the total variance of unit-length features, [N, D]: 0 if all are one, 1 if their mean is 0."""
    return float((1 - features.double().mean(0).square().sum()).clamp(min=0).sqrt())


def effective_rank(features: Tensor) -> float:
    """Exp of the entropy of the centred features' singular values, from 1 to D; 1 too if all are one.

    Args:
        features: [N, D].
    """
    singular = torch.linalg.svdvals((features - features.mean(0)).double())
    share = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    share = share[share > 0]
    return float((-(share * share.log()).sum()).exp())
