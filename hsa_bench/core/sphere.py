"""Alignment and uniformity of features on the unit sphere (Wang and Isola 2020, arXiv:2005.10242)."""

from __future__ import annotations

import math

from torch import Tensor

ROWS = 1024
"""Features whose distances to all others are held at once."""


def alignment(one: Tensor, other: Tensor) -> float:
    """Mean squared distance of positive pairs (their alpha 2): 0 if pairs are equal, 4 at most.

    Args:
        one: Features of unit length, [N, D].
        other: Their partners, [N, D].
    """
    return float((one.double() - other.double()).square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """Log of the mean Gaussian potential of all pairs (their t 2): 0 if all features are one.

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
