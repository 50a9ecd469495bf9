"""Preconditioning of softmax regression by the features' covariance, exact or its largest directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

EXACT = 4096
"""Dimensions up to which the whole covariance is factored; beyond, its `RANK` largest directions are used."""

RANK = 512
"""Directions of largest variance that are used beyond `EXACT` dimensions."""

FLOOR = 1e-6
"""Least variance of a direction, as a share of the mean: smaller ones are rounding errors of float32."""

Blocks = Callable[[], Iterable[Tensor]]
"""Gives centred features, float32 [B, D], a block at a time; each call begins with the first again."""


class Stretch(Protocol):
    """Coordinates of the weights in which the loss is about equally curved in every direction."""

    def inward(self, gradient: Tensor) -> Tensor:
        """Turn gradients by the weights, [R, D], into gradients by the coordinates, [R, D]."""
        ...

    def outward(self, step: Tensor) -> Tensor:
        """Turn steps in the coordinates, [R, D], into steps of the weights, [R, D]."""
        ...


@dataclass(frozen=True)
class Covariance:
    """The whole covariance."""

    matrix: Tensor
    """[D, D], double precision."""

    def stretch(self, share: float, penalty: float) -> Stretch:
        """Coordinates for the curvature share x covariance + penalty."""
        added = penalty + FLOOR * share * float(self.matrix.diagonal().mean())
        curvature = self.matrix * share
        curvature.diagonal().add_(added)
        return Triangle(torch.linalg.cholesky(curvature))


@dataclass(frozen=True)
class Triangle:
    """A stretch by the Cholesky factor of the curvature."""

    lower: Tensor
    """Lower triangle, [D, D]."""

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
    """A stretch by a factor for each of some directions and one for all others, alike inward and outward."""

    directions: Tensor
    """Orthonormal, [D, rank]."""
    factors: Tensor
    """One a direction, [rank]."""
    others: float
    """Factor of all other directions."""

    def inward(self, gradient: Tensor) -> Tensor:
        along = gradient @ self.directions  # [R, rank]
        return gradient * self.others + (along * (self.factors - self.others)) @ self.directions.T

    def outward(self, step: Tensor) -> Tensor:
        return self.inward(step)


def covariance(blocks: Blocks, variances: Tensor, count: int) -> Covariance | Largest:
    """Compute the covariance of centred features, or its largest directions beyond `EXACT` dimensions.

    Args:
        blocks: Gives the features.
        variances: Variance of each dimension, [D], double precision, on the device to compute on.
        count: Number of features.
    """
    dim = len(variances)
    if dim > EXACT:
        return _largest(blocks, variances, count)
    matrix = torch.zeros(dim, dim, dtype=torch.float64, device=variances.device)
    for part in blocks():
        matrix += part.T @ part
    return Covariance(matrix / count)


def _largest(blocks: Blocks, variances: Tensor, count: int) -> Largest:
    """Find the largest directions by random projection and one power iteration (Halko et al. 2011)."""
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
