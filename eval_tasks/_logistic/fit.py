"""Multinomial logistic regression to its optimum by L-BFGS, on any device, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from eval_tasks._logistic.curvature import Covariance, Largest, covariance
from eval_tasks._logistic.descent import HISTORY, descend
from hsa_bench.core.features.carry import blocks

BLOCK = 2**24
"""Numbers held at once, of the features and of the scores."""

CENTRED = 2**30
"""Bytes up to which centred features are kept beside the features."""

REMEMBERED = 2**27
"""Most numbers that the L-BFGS histories of fits side by side hold, 1 GiB; further fits run after them."""


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
        parts = blocks(features, _block_length(features, len(self.weight)), self.weight.device)
        return torch.cat([part @ self.weight.T + self.bias for _, part in parts])


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
        total, squares = (
            torch.zeros(self.features.shape[1], dtype=torch.float64, device=self.device) for _ in range(2)
        )
        for _, part in self._uncentred():
            total += part.double().sum(0)
            squares += part.double().square().sum(0)
        return total / len(self.features), squares / len(self.features)

    @property
    def _variances(self) -> Tensor:
        mean, power = self._moments
        return (power - mean.square()).clamp_min(0)

    @cached_property
    def unit(self) -> float:
        """Root mean squared length of a feature: C is for features divided by it."""
        return float(self._moments[1].sum().sqrt()) or 1.0

    @cached_property
    def _centred(self) -> Tensor | None:
        """Features minus their mean, float32 [N, D], on the computing device; None beyond `CENTRED` bytes."""
        if self.features.numel() * 4 > CENTRED:
            return None
        whole = torch.empty(self.features.shape, dtype=torch.float32, device=self.device)
        for rows, part in self._uncentred():
            torch.sub(part, self._moments[0].float(), out=whole[rows])
        return whole

    @cached_property
    def _own(self) -> Tensor:
        return self.labels.to(self.device)

    @cached_property
    def _covariance(self) -> Covariance | Largest:
        def centred() -> Iterator[Tensor]:
            return (part for _, part in self._parts(1))

        return covariance(centred, self._variances, len(self.features))

    def fit(self, c: float, tolerance: float, rows: Tensor | None = None, start: Fit | None = None) -> Fit:
        """Minimise it; see `fits`.

        Args:
            c: Inverse strength of the penalty.
            tolerance: Largest entry of the mean loss's gradient at which it has converged.
            rows: Which images to learn from; None for all.
            start: Where to start, e.g. the fit with the next smaller C; None for zero.
        """
        return self.fits(c, tolerance, [rows], [start])[0]

    def fits(
        self, c: float, tolerance: float, parts: Sequence[Tensor | None], starts: Sequence[Fit | None]
    ) -> list[Fit]:
        """Minimise it on several parts of the images side by side, in passes over all of them.

        The solver sees centred features in coordinates in which the loss is about as curved in every
        direction, which changes its path and not its end. The tolerance is for weights stretched by the root
        of their own curvature alone.

        Args:
            c: Inverse strength of the penalty.
            tolerance: Largest entry of the mean loss's gradient at which a fit has converged.
            parts: Rows of the images that each learns from; None for all.
            starts: Where each starts; None for zero.
        """
        numbers = self.classes * (self.features.shape[1] + 1) * 2 * HISTORY
        at_once = max(1, REMEMBERED // numbers)
        groups = [slice(low, low + at_once) for low in range(0, len(parts), at_once)]
        return [fit for group in groups for fit in self._fits(c, tolerance, parts[group], starts[group])]

    def _fits(
        self, c: float, tolerance: float, parts: Sequence[Tensor | None], starts: Sequence[Fit | None]
    ) -> list[Fit]:
        mean = self._moments[0]
        begins = [self._centred_weights(start) for start in starts]
        seen = _Seen.of(parts, len(self.labels), self.unit**2 / c, self.device)
        penalty = float(seen.penalties.mean())
        share = self._share(begins, seen) if any(starts) else 1 / self.classes
        stretch = self._covariance.stretch(share, penalty)
        certainty = (1 / self.classes) * (1 - 1 / self.classes)  # curvature of the cross-entropy at zero
        alone = (certainty * self._variances + seen.penalties[:, None]).sqrt()  # [K, D]

        def looks(which: Sequence[int], places: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
            return self._looked(torch.stack(list(places)), seen.of_some(which))

        def steepness(gradients: Tensor, which: Sequence[int]) -> Tensor:
            to_weight = (gradients[:, :, :-1] / alone[list(which), None]).abs().amax((1, 2))
            return torch.maximum(to_weight, gradients[:, :, -1].abs().amax(1))

        def along(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            return lambda x: torch.cat([change(x[:, :-1]), x[:, -1:] * share**-0.5], dim=1)

        ends = descend(
            begins, looks, along(stretch.inward), along(stretch.outward), steepness,
            (tolerance, self.iterations),
        )  # fmt: skip
        return [
            Fit(
                end.place[:, :-1].float(),
                (end.place[:, -1] - end.place[:, :-1] @ mean).float(),
                end.converged,
            )
            for end in ends
        ]

    def _centred_weights(self, start: Fit | None) -> Tensor:
        """Return weights and biases for centred features, [C, D+1].

        They are in double precision, as line searches compare losses that differ little; products are in
        single.
        """
        mean = self._moments[0]
        if start is None:
            return torch.zeros(self.classes, len(mean) + 1, dtype=torch.float64, device=self.device)
        weight = start.weight.double()
        return torch.cat([weight, (start.bias + weight @ mean)[:, None]], dim=1)

    def _share(self, begins: Sequence[Tensor], seen: _Seen) -> float:
        """Average the cross-entropy's curvature at the start over images, as a share of the covariance."""
        total = seen.keep.new_zeros((), dtype=torch.float64)
        flat = torch.cat(list(begins)).float()
        for rows, part in self._parts(len(flat)):
            p = torch.addmm(flat[:, -1], part, flat[:, :-1].T).view(len(part), len(begins), -1).softmax(2)
            total += ((1 - p.square().sum(2)) * seen.keep[rows]).sum(dtype=torch.float64)
        return max(float(total / seen.counts.sum()) / (self.classes - 1), 1e-4 / self.classes)

    def _looked(self, places: Tensor, seen: _Seen) -> tuple[Tensor, Tensor]:
        """Compute mean losses, [K], and gradients, [K, C, D+1], of several fits on centred features."""
        fits, classes = places.shape[:2]
        flat = places.flatten(0, 1).float()
        gradients, losses = torch.zeros_like(places.flatten(0, 1)), places.new_zeros(fits)
        for rows, part in self._parts(len(flat)):
            keep, own = seen.keep[rows], self._own[rows][:, None, None].expand(-1, fits, 1)  # [B, K, 1]
            logits = torch.addmm(flat[:, -1], part, flat[:, :-1].T).view(len(part), fits, classes)
            log_p = logits.log_softmax(dim=2)
            losses -= (log_p.gather(2, own)[:, :, 0] * keep).sum(0, dtype=torch.float64)
            delta = log_p.exp_().scatter_add_(2, own, log_p.new_full(own.shape, -1)).mul_(keep[:, :, None])
            delta = delta.flatten(1)  # [B, K x C]
            gradients[:, :-1] += delta.T @ part
            gradients[:, -1] += delta.sum(0, dtype=torch.float64)
        gradients = gradients.view_as(places) / seen.counts[:, None, None]
        weights, penalties = places[:, :, :-1], seen.penalties
        gradients[:, :, :-1] += penalties[:, None, None] * weights
        return losses / seen.counts + penalties * weights.square().sum((1, 2)) / 2, gradients

    def _parts(self, outputs: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield centred features, float32 [B, D], on the computing device, and which rows they are."""
        if self._centred is not None:
            length = _block_length(self.features, outputs)
            for low in range(0, len(self.features), length):
                yield slice(low, low + length), self._centred[low : low + length]
            return
        mean = self._moments[0].float()
        for rows, part in self._uncentred(outputs):
            yield rows, part - mean

    def _uncentred(self, outputs: int = 0) -> Iterator[tuple[slice, Tensor]]:
        """Yield features as they are, float32 [B, D], on the computing device, and which rows they are."""
        return blocks(self.features, _block_length(self.features, outputs), self.device)


@dataclass(frozen=True)
class _Seen:
    """The training images of each of K fits, and its penalty."""

    keep: Tensor
    """Whether a fit learns from an image, 1 or 0, float32 [N, K]."""
    counts: Tensor
    """Number of its images, [K], double precision."""
    penalties: Tensor
    """Weight decay of its mean loss, for features that are not scaled, [K]."""

    @classmethod
    def of(cls, parts: Sequence[Tensor | None], count: int, strength: float, device: torch.device) -> _Seen:
        keep = torch.zeros(count, len(parts))
        for k, rows in enumerate(parts):
            keep[slice(None) if rows is None else rows, k] = 1
        keep = keep.to(device)
        counts = keep.sum(0, dtype=torch.float64)
        return cls(keep, counts, strength / counts)

    def of_some(self, which: Sequence[int]) -> _Seen:
        if len(which) == len(self.counts):
            return self
        chosen = list(which)
        return _Seen(self.keep[:, chosen], self.counts[chosen], self.penalties[chosen])


def _block_length(features: Tensor, outputs: int) -> int:
    """Return how many rows of features to hold at once, each with as many scores."""
    return max(1, BLOCK // max(features.shape[1], outputs))
