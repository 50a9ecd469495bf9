"""The curvature that all classes of a softmax share, to stretch weights by: exact, or its largest part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

EXACT = 4096
"""Dimensions up to which the whole covariance is factored: of more, `RANK` directions and their mean."""

RANK = 512

FLOOR = 1e-6
"""Of the mean variance: what a direction's is taken for at least, as covariances are sums in float32."""

Blocks = Callable[[], Iterable[Tensor]]
"""Centred features, float32 [B, D], a block at a time, from the first again at each call."""


class Stretch(Protocol):
    """Coordinates in which the loss is about as curved in every direction; rows are classes."""

    def inward(self, gradient: Tensor) -> Tensor:
        """A gradient to weights, [R, D], as one to the coordinates, [R, D]."""
        ...

    def outward(self, step: Tensor) -> Tensor:
        """A step in the coordinates, [R, D], as one of the weights, [R, D]."""
        ...


@dataclass(frozen=True)
class Covariance:
    """All of it, [D, D], double precision."""

    matrix: Tensor

    def stretch(self, share: float, penalty: float) -> Stretch:
        """Coordinates for the curvature share x covariance + penalty."""
        added = penalty + FLOOR * share * float(self.matrix.diagonal().mean())
        curvature = self.matrix * share
        curvature.diagonal().add_(added)
        return Triangle(torch.linalg.cholesky(curvature))


@dataclass(frozen=True)
class Triangle:
    """By a Cholesky factor."""

    lower: Tensor

    def inward(self, gradient: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.lower, gradient.T, upper=False).T

    def outward(self, step: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.lower.T, step.T, upper=True).T


@dataclass(frozen=True)
class Largest:
    """The directions of largest variance, and the mean variance in all others."""

    directions: Tensor
    """Orthonormal, [D, R]."""
    variances: Tensor
    """[R]."""
    rest: float

    def stretch(self, share: float, penalty: float) -> Stretch:
        """Coordinates for the curvature share x covariance + penalty."""
        others = (share * self.rest + penalty) ** -0.5
        return Scaled(self.directions, (share * self.variances + penalty).rsqrt(), others)


@dataclass(frozen=True)
class Scaled:
    """By a factor for each of some directions, and one for all others; the same inward and outward."""

    directions: Tensor
    factors: Tensor
    others: float

    def inward(self, gradient: Tensor) -> Tensor:
        along = gradient @ self.directions  # [R, rank]
        return gradient * self.others + (along * (self.factors - self.others)) @ self.directions.T

    def outward(self, step: Tensor) -> Tensor:
        return self.inward(step)


def covariance(blocks: Blocks, variances: Tensor, count: int) -> Covariance | Largest:
    """Of centred features.

    Args:
        blocks: Of them.
        variances: Of each feature, [D], double precision, where to compute.
        count: Features.
    """
    dim = len(variances)
    if dim > EXACT:
        return _largest(blocks, variances, count)
    matrix = torch.zeros(dim, dim, dtype=torch.float64, device=variances.device)
    for part in blocks():
        matrix += part.T @ part
    return Covariance(matrix / count)


def _largest(blocks: Blocks, variances: Tensor, count: int) -> Largest:
    """The largest directions by a random projection and one power of the covariance (Halko et al. 2011)."""
    dim, rank = len(variances), min(RANK, len(variances) // 2)
    draw = torch.randn(dim, rank, generator=torch.Generator().manual_seed(0)).to(variances.device)
    seen = torch.zeros(dim, rank, dtype=torch.float64, device=variances.device)
    for part in blocks():
        seen += part.T @ (part @ draw)
    basis = torch.linalg.qr(seen.float()).Q  # [D, rank]
    inside = torch.zeros(rank, rank, dtype=torch.float64, device=variances.device)
    for part in blocks():
        along = part @ basis
        inside += along.T @ along
    values, turn = torch.linalg.eigh(inside / count)
    rest = float((variances.sum() - values.sum()).clamp_min(0)) / (dim - rank)
    floor = FLOOR * float(variances.mean())
    return Largest((basis @ turn.float()).double(), values.clamp_min(floor), max(rest, floor))
