"""Positives mined from the momentum encoder: each image's nearest others (haohang96/CSML clustering.py)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from hsa_bench.core.data.image_set import Labels
from hsa_bench.core.features.neighbours import best_of
from hsa_bench.core.processes import gathered_arrays, rank, world

Neighbours = NDArray[np.int64]
"""Nearest other images of each, [N, k], nearest first; a row that has fewer ends in -1, and one that has none
begins with the image itself."""

ROWS = 2**16
"""Features compared at once: queries and bank meet block by block."""


def nearest_others(features: Tensor, k: int, device: str = "cpu") -> Neighbours:
    """Exact cosine search, by faiss on the CPU and torch on a GPU, in bounded memory.

    An image is not a neighbour of itself, however many copies of it there are.

    Args:
        features: [N, D], unit length; with several processes, this one's consecutive shard of them.
        k: Neighbours an image.
        device: Where to compare.

    Returns:
        The neighbours of the images of all processes.
    """
    sizes = gathered_arrays(np.array([len(features)]))
    first = int(sizes[: rank()].sum())
    similarity = torch.full((len(features), k + 1), -torch.inf)
    index = torch.full((len(features), k + 1), -1)
    for start, bank in _banks(features, sizes.tolist(), device):
        for low in range(0, len(features), ROWS):
            rows = slice(low, low + ROWS)
            best = best_of(features[rows].to(device), bank, k + 1)
            both = torch.cat([similarity[rows], best.similarity.cpu()], dim=1)
            similarity[rows], place = both.topk(k + 1, dim=1)
            index[rows] = torch.cat([index[rows], best.index.cpu() + start], dim=1).gather(1, place)
    return gathered_arrays(without_own(index, torch.arange(first, first + len(features))).numpy())


def without_own(index: Tensor, own: Tensor) -> Tensor:
    """Take each image itself out of what is nearest to it.

    Args:
        index: Nearest images, [N, k + 1], nearest first.
        own: The image that each row is of, [N].

    Returns:
        [N, k]. A row without the image, as it is lost among its copies, has its last entry taken out.
    """
    others = index != own[:, None]
    others[others.all(1), -1] = False
    return index[others].reshape(len(index), index.shape[1] - 1)


def mutual(neighbours: Neighbours) -> Neighbours:
    """Keep neighbours that have the image among their own; one without any gets itself.

    Returns:
        A table of the same shape.
    """
    own = np.arange(len(neighbours))[:, None]
    back = [(neighbours[column] == own).any(1) for column in neighbours.T]
    kept = np.stack(back, axis=1) & (neighbours >= 0)
    first = np.argsort(~kept, axis=1, kind="stable")
    table = np.take_along_axis(np.where(kept, neighbours, -1), first, axis=1)
    alone = ~kept.any(1)
    table[alone, 0] = own[alone, 0]
    return table


def paired(neighbours: Neighbours, own: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Mark what is an image's neighbour, not itself and not an empty end of a row, [N, k].

    Args:
        neighbours: Rows of a table.
        own: The image that each row is of, [N]; by default the first N.
    """
    own = np.arange(len(neighbours)) if own is None else own
    return (neighbours >= 0) & (neighbours != own[:, None])


def purity(neighbours: Neighbours, labels: Labels, own: NDArray[np.int64] | None = None) -> float:
    """Measure the share of neighbours of the image's own class, percent. For watching, never for training.

    Args:
        neighbours: Rows of a table, at least one of which has a neighbour.
        labels: Class of each image.
        own: The image that each row is of, [N]; by default the first N.
    """
    own = np.arange(len(neighbours)) if own is None else own
    return float((labels[neighbours] == labels[own, None])[paired(neighbours, own)].mean() * 100)


def _banks(features: Tensor, sizes: list[int], device: str) -> Iterator[tuple[int, Tensor]]:
    """Yield blocks of all processes' features, one after the other to all of them, with their first index."""
    start = 0
    for source, size in enumerate(sizes):
        for low in range(0, size, ROWS):
            rows = min(ROWS, size - low)
            if source == rank():
                block = features[low : low + rows].to(device)
            else:
                block = torch.empty(rows, features.shape[1], device=device)
            if world() > 1:
                dist.broadcast(block := block.contiguous(), source)
            yield start + low, block
        start += size
