"""Exact cosine neighbours in bounded memory, and their weighted vote (Wu et al. 2018, arXiv:1805.01978)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from hsa_bench.core.features.carry import blocks
from hsa_bench.core.models.precision import computing_in

ROWS = 2**16
"""Queries compared at once."""

BLOCK = 2**25
"""Numbers held of the bank at once: 128 MiB in float32, also where the bank is kept in half precision on
disk. On a GPU, of the similarities too."""


@dataclass(frozen=True)
class Neighbours:
    """The most similar bank entries of each query, best first; of equal ones any may come first."""

    similarity: Tensor
    """Inner products, [Q, k]."""
    index: Tensor
    """Rows of the bank, [Q, k], int64."""

    def first(self, k: int) -> Neighbours:
        """The k most similar of them."""
        return Neighbours(self.similarity[:, :k], self.index[:, :k])


def search(query: Tensor, bank: Tensor, k: int, scale: Tensor | None = None) -> Neighbours:
    """Find the k most similar bank entries by comparing with all of them, block by block.

    By faiss on the CPU where it is installed, else by torch. Products are in float32, on a GPU too.

    Args:
        query: Features, [Q, D], unit length; where the search runs.
        bank: Features to search, [N, D], unit length unless `scale` says otherwise. It may be in half
            precision, on the CPU and mapped from disk: a block at a time is read, once, and brought to a GPU
            while the blocks before it are compared.
        k: Neighbours wanted; the whole bank if it is smaller.
        scale: What each bank entry is multiplied by, [N].
    """
    k = min(k, len(bank))
    size = max(k, BLOCK // max(1, bank.shape[1]))
    best: list[Neighbours] = []
    with computing_in("float32", query.device):
        for low, part in _scaled(bank, size, query.device, scale):
            for place, rows in enumerate(query.split(ROWS)):
                found = best_of(rows, part, min(k, len(part)))
                found = Neighbours(found.similarity, found.index + low)
                if low == 0:
                    best.append(found)
                else:
                    best[place] = _better(best[place], found, k)
    return Neighbours(*(torch.cat([getattr(b, name) for b in best]) for name in ("similarity", "index")))


def _scaled(
    bank: Tensor, size: int, device: torch.device, scale: Tensor | None
) -> Iterator[tuple[int, Tensor]]:
    """Yield consecutive rows in float32 on a device, scaled, with the first one's number."""
    scale = None if scale is None else scale.to(device, torch.float32)
    for rows, part in blocks(bank, size, device):
        yield rows.start, part if scale is None else part * scale[rows, None]


def best_of(query: Tensor, bank: Tensor, k: int, by_torch: bool = False) -> Neighbours:
    """The k most similar entries of a bank in memory, float32 [N, D]; -inf and -1 where it has fewer.

    Args:
        query: [Q, D].
        bank: On the same device.
        k: Neighbours wanted.
        by_torch: As on a GPU, also on the CPU, where faiss is almost twice as fast.
    """
    short = max(0, k - len(bank))
    faiss = None if by_torch or query.device.type != "cpu" else _faiss()
    if faiss is not None:
        found, where = faiss.knn(
            query.contiguous().numpy(),
            bank.contiguous().numpy(),
            k - short,
            metric=faiss.METRIC_INNER_PRODUCT,
        )
        similarity, index = torch.from_numpy(found), torch.from_numpy(where)
    else:
        rows = max(1, BLOCK // max(1, len(bank)))
        parts = [(part @ bank.T).topk(k - short, dim=1) for part in query.split(rows)]
        similarity, index = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    return Neighbours(pad(similarity, (0, short), value=-torch.inf), pad(index, (0, short), value=-1))


@cache
def _faiss() -> Any:
    """The library, or None where it is not installed or does not load: torch finds the same neighbours."""
    try:
        import faiss
    except (ImportError, OSError):
        return None
    return faiss


def _better(one: Neighbours, other: Neighbours, k: int) -> Neighbours:
    similarity, place = torch.cat([one.similarity, other.similarity], dim=1).topk(k, dim=1)
    return Neighbours(similarity, torch.cat([one.index, other.index], dim=1).gather(1, place))


def cast_votes(found: Neighbours, labels: Tensor, classes: int, temperature: float) -> Tensor:
    """Scores, [Q, classes], from neighbours already found: each votes with weight exp(s / temperature)."""
    weight = (found.similarity / temperature).exp()  # [Q, k]
    scores = torch.zeros(len(weight), classes, dtype=weight.dtype, device=weight.device)
    return scores.scatter_add_(1, labels[found.index], weight)


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
    return cast_votes(search(query, bank, k), labels, classes, temperature)


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
