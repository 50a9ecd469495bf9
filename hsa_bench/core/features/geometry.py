"""Features as points: singular values, spread, effective rank, RankMe; alignment and uniformity."""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-7
"""Added to each share by RankMe (arXiv:2210.02885, sec. 3)."""

ROWS = 1024
"""Features whose distances to all others are held at once."""


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


def alignment(one: Tensor, other: Tensor) -> float:
    """Mean squared distance of positive pairs: 0 if pairs are equal, 4 at most.

    Wang and Isola 2020, arXiv:2005.10242, with their alpha 2.

    Args:
        one: Features of unit length, [N, D].
        other: Their partners, [N, D].
    """
    return float((one.double() - other.double()).square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """Log of the mean Gaussian potential of all pairs: 0 if all features are one.

    Wang and Isola 2020, arXiv:2005.10242, with their t 2.

    On a sphere of many dimensions it nears -4 for features spread evenly.

    Args:
        features: Of unit length, [N, D]; at least two.
    """
    count = len(features)
    if count < 2:
        raise ValueError("uniformity takes at least two images")
    features = features.double()
    total = 0.0
    for low in range(0, count, ROWS):
        squares = 2 - 2 * features[low : low + ROWS] @ features.T  # of distances, [rows, N]
        total += float((-2 * squares.clamp(min=0)).exp().sum())
    return math.log((total - count) / (count * (count - 1)))  # without each with itself
