"""How many directions features use: singular values, spread, effective rank, RankMe."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-7
"""Added to each share by RankMe (arXiv:2210.02885, sec. 3)."""


def spread(features: Tensor) -> float:
    """Root of the total variance of unit-length features, [N, D]: 0 if all are one, 1 if their mean is 0."""
    return float((1 - features.double().mean(0).square().sum()).clamp(min=0).sqrt())


def singular_values(features: Tensor) -> Tensor:
    """Of a matrix of features, [N, D], largest first, [min(N, D)], in double precision."""
    return torch.linalg.svdvals(features.double())


def effective_rank(features: Tensor) -> float:
    """Exp of the entropy of the centred features' singular values (Roy and Vetterli 2007, EUSIPCO).

    Args:
        features: [N, D].

    Returns:
        From 1 to D; 1 too if all features are one.
    """
    share = _shares(singular_values(features.double() - features.double().mean(0)))
    share = share[share > 0]
    return float((-(share * share.log()).sum()).exp())


def rankme(singular: Tensor) -> float:
    """Exp of the entropy of singular values (Garrido et al. 2023, arXiv:2210.02885, sec. 3).

    Args:
        singular: Of features that are not centred, [min(N, D)].

    Returns:
        From 1 to min(N, D), and up to `EPSILON` times that above.
    """
    share = _shares(singular) + EPSILON
    return float((-(share * share.log()).sum()).exp())


def _shares(singular: Tensor) -> Tensor:
    return singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
