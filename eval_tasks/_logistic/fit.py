"""Multinomial logistic regression to its optimum by L-BFGS, on any device, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

BLOCK = 2**24
"""Numbers held at once, of the features and of the scores."""


@dataclass(frozen=True)
class Fit:
    """A classifier: scores are features @ weight.T + bias."""

    weight: Tensor
    """[C, D]."""
    bias: Tensor
    """[C]."""
    converged: bool

    def scores(self, features: Tensor) -> Tensor:
        """[N, C] on the classifier's device, a block at a time."""
        parts = [part @ self.weight.T + self.bias for _, part in _blocks(features, None, self.weight)]
        return torch.cat(parts)


@dataclass(frozen=True)
class Regression:
    """C x summed cross-entropy + half the squared weights, the bias free, for features of mean length 1."""

    features: Tensor
    """[N, D]; may be in half precision and mapped from disk."""
    labels: Tensor
    """[N], int64."""
    classes: int
    device: torch.device
    iterations: int
    """At most, of a fit."""

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean of each feature and of its square, [D] each, in double precision."""
        total, squares = (torch.zeros(self.features.shape[1], dtype=torch.float64) for _ in range(2))
        for _, part in _blocks(self.features, None, torch.empty(0, device=self.device)):
            total += part.double().sum(0).cpu()
            squares += part.double().square().sum(0).cpu()
        return total / len(self.features), squares / len(self.features)

    @property
    def unit(self) -> float:
        """Root mean squared length of a feature: C is for features divided by it."""
        return float(self._moments[1].sum().sqrt()) or 1.0

    def fit(self, c: float, tolerance: float, rows: Tensor | None = None, start: Fit | None = None) -> Fit:
        """Minimise it.

        The solver sees centred features and weights stretched by the root of their curvature, which changes
        its path and not its end.

        Args:
            c: Inverse strength of the penalty.
            tolerance: Largest entry of the mean loss's gradient at which it has converged.
            rows: Which images to learn from; None for all.
            start: Where to start, e.g. the fit with the next smaller C; None for zero.
        """
        mean, power = self._moments
        count = len(self.labels) if rows is None else len(rows)
        penalty = self.unit**2 / (c * count)  # of the mean loss, per weight of the features as they are
        certainty = (1 / self.classes) * (1 - 1 / self.classes)  # curvature of the cross-entropy at the start
        curvature = certainty * (power - mean.square()).clamp_min(0) + penalty
        stretch, centre = curvature.sqrt().to(self.device), mean.to(self.device)  # [D]

        # In double precision, as line searches compare losses that differ little; products are in single.
        inner = torch.zeros(self.classes, len(centre) + 1, dtype=torch.float64, device=self.device)
        if start is not None:
            inner[:, :-1], inner[:, -1] = start.weight * stretch, start.bias + start.weight.double() @ centre
        solver = torch.optim.LBFGS(
            [inner],
            max_iter=self.iterations,
            max_eval=2 * self.iterations,
            tolerance_grad=tolerance,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        @torch.no_grad()
        def loss_and_gradient() -> Tensor:
            weight = inner[:, :-1] / stretch
            loss, slope, shift = self._sums(weight, inner[:, -1], centre, rows)
            slope = slope / count + penalty * weight
            inner.grad = torch.cat([slope / stretch, shift[:, None] / count], dim=1)
            return loss / count + penalty * weight.square().sum() / 2

        solver.step(loss_and_gradient)
        loss_and_gradient()
        assert inner.grad is not None
        weight = inner[:, :-1] / stretch
        converged = float(inner.grad.abs().max()) <= tolerance
        return Fit(weight.float(), (inner[:, -1] - weight @ centre).float(), converged)

    def _sums(
        self, weight: Tensor, bias: Tensor, centre: Tensor, rows: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Summed cross-entropy on centred features, its gradient to weight and bias, in double precision."""
        slope, shift, loss = torch.zeros_like(weight), torch.zeros_like(bias), bias.new_zeros(())
        weight, bias, centre = weight.float(), bias.float(), centre.float()
        for index, block in _blocks(self.features, rows, weight):
            part, own = block - centre, self.labels[index].to(self.device)[:, None]
            log_p = torch.addmm(bias, part, weight.T).log_softmax(dim=1)
            loss -= log_p.gather(1, own).sum(dtype=torch.float64)
            delta = log_p.exp_().scatter_add_(1, own, log_p.new_full(own.shape, -1))
            slope += delta.T @ part
            shift += delta.sum(0, dtype=torch.float64)
        return loss, slope, shift


def _blocks(features: Tensor, rows: Tensor | None, like: Tensor) -> Iterator[tuple[Tensor | slice, Tensor]]:
    """Rows of the features in float32 where they are computed on: which, and they themselves."""
    most = max(1, BLOCK // max(features.shape[1], len(like)))
    for low in range(0, len(features) if rows is None else len(rows), most):
        index = slice(low, low + most) if rows is None else rows[low : low + most]
        yield index, features[index].to(like.device, torch.float32)
