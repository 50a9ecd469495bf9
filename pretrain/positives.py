"""Positives mined from the momentum encoder: each picture's nearest others (haohang96/CSML clustering.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsa_bench.core.data import ImageSet, Labels
from hsa_bench.core.seed import derive, generator
from hsa_bench.core.views import Transform, views_of

Neighbours = NDArray[np.int64]
"""Nearest other pictures of each, [N, k], nearest first."""


def nearest_others(features: Tensor, k: int) -> Neighbours:
    """Exact cosine search; a picture is no neighbour of itself, however many copies of it there are.

    Args:
        features: [N, D], unit length.
        k: Neighbours a picture.
    """
    import faiss

    rows = np.ascontiguousarray(features.numpy(), dtype=np.float32)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    found = index.search(rows, k + 1)[1]  # [N, k+1]
    others = found != np.arange(len(rows))[:, None]
    others[others.all(1), -1] = False  # lost among copies of itself: drop the last one
    return found[others].reshape(len(rows), k)


def purity(neighbours: Neighbours, labels: Labels) -> float:
    """Share of neighbours that are of the picture's class, percent. For watching, never for training."""
    return float((labels[neighbours] == labels[:, None]).mean() * 100)


class PairedViews(Dataset[tuple[list[Tensor], int, int]]):
    """Item i: two views of picture i, then two of a neighbour drawn from its table, by (seed, epoch, i)."""

    def __init__(
        self, images: ImageSet, transform: Transform, neighbours: Neighbours, seed: int, epoch: int
    ) -> None:
        self.images = images
        self.transforms = [transform] * 2
        self.neighbours = neighbours
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int, int]:
        views, label, _ = views_of(self.images, self.transforms, self.seed, self.epoch, index)
        draw = generator(self.seed, "neighbour", self.epoch, index)
        other = int(self.neighbours[index][torch.randint(self.neighbours.shape[1], (), generator=draw)])
        own_seed = derive(self.seed, "views of the neighbour of", index)
        return [*views, *views_of(self.images, self.transforms, own_seed, self.epoch, other)[0]], label, index


def paired(views: PairedViews, batch: int, order: Sequence[int], workers: int) -> DataLoader[object]:
    """One epoch of full batches of pairs."""
    return DataLoader(
        cast(Dataset[object], views), batch_size=batch, sampler=order, num_workers=workers, drop_last=True
    )
