"""Exact cosine neighbours in bounded memory, and their weighted vote (Wu et al. 2018, arXiv:1805.01978)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2**25
"""Similarities held at once, 128 MiB in float32."""


@dataclass(frozen=True)
class Neighbours:
    """The most similar bank entries of each query, best first."""

    similarity: Tensor
    """Inner products, [Q, k]."""
    index: Tensor
    """Rows of the bank, [Q, k], int64."""


def search(query: Tensor, bank: Tensor, k: int) -> Neighbours:
    """Find the k most similar bank entries by comparing with all of them, queries in chunks.

    Args:
        query: Features, [Q, D], unit length.
        bank: Features to search, [N, D], unit length.
        k: Neighbours wanted; the whole bank if it is smaller.
    """
    k = min(k, len(bank))
    rows = max(1, BLOCK // max(1, len(bank)))
    found = [(part @ bank.T).topk(k, dim=1) for part in query.split(rows)]
    return Neighbours(
        similarity=torch.cat([f.values for f in found]),
        index=torch.cat([f.indices for f in found]),
    )


def vote(
    query: Tensor,
    bank: Tensor,
    labels: Tensor,
    classes: int,
    k: int,
    temperature: float,
) -> Tensor:
    """Let the k most similar bank entries vote, each with weight exp(s / temperature).

    Args:
        query: Features to classify, [Q, D], unit length.
        bank: Training features, [N, D], unit length.
        labels: Their classes, [N], int64 in [0, classes).
        classes: Number of classes in the training set, not in the query.
        k: Neighbours that vote; the whole bank if it is smaller.
        temperature: Small values trust the nearest neighbour most.

    Returns:
        Scores, [Q, classes]; the largest is the prediction. A class without votes has 0; such ties
        rank by class index, lowest first (`metrics.ranks`).

    Raises:
        ValueError: Features or labels do not fit each other, or exp(1 / temperature) overflows float32.
    """
    _check(query, bank, labels, classes, k, temperature)
    found = search(query, bank, k)
    weight = (found.similarity / temperature).exp()  # [Q, k]
    scores = torch.zeros(len(query), classes, dtype=weight.dtype, device=query.device)
    return scores.scatter_add_(1, labels[found.index], weight)


def _check(query: Tensor, bank: Tensor, labels: Tensor, classes: int, k: int, temperature: float) -> None:
    if not len(bank) or len(labels) != len(bank) or query.shape[1:] != bank.shape[1:]:
        shapes = f"query {list(query.shape)}, bank {list(bank.shape)}, labels {list(labels.shape)}"
        raise ValueError(f"vote: wants [Q, D], [N, D] and [N] with N > 0, found {shapes}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"vote: labels run from {labels.min()} to {labels.max()}, for {classes} classes")
    if k < 1:
        raise ValueError(f"vote: k must be at least 1, not {k}")
    least = 1 / math.log(torch.finfo(torch.float32).max)
    if temperature <= least:
        raise ValueError(
            f"vote: temperature must exceed {least:.4f}, as exp(1 / T) overflows; not {temperature}"
        )
