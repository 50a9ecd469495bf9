"""Accuracies, as pure functions, in percent."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """Place of the true class among the scores, 0 = best, [N].

    Ties rank by class index, lowest first, so that a constant scorer is not called right.

    Args:
        scores: [N, C].
        labels: True classes, [N].
    """
    own = scores.gather(1, labels[:, None])  # [N, 1]
    better = (scores > own).sum(1)
    classes = torch.arange(scores.shape[1], device=scores.device)
    tied_before = ((scores == own) & (classes < labels[:, None])).sum(1)
    return better + tied_before


def topk(scores: Tensor, labels: Tensor, k: int) -> float:
    """Share of examples whose true class is among the k best, percent."""
    return float((ranks(scores, labels) < k).double().mean() * 100)


def mean_per_class(predictions: Tensor, labels: Tensor, classes: int) -> float:
    """Accuracy of each class that occurs, averaged over those classes, percent."""
    right = torch.bincount(labels[predictions == labels], minlength=classes).double()
    count = torch.bincount(labels, minlength=classes).double()
    return float((right[count > 0] / count[count > 0]).mean() * 100)
