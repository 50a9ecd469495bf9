"""Batches of views, in an order drawn per epoch, by as many worker processes as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hsa_bench.core.data import ImageSet
from hsa_bench.core.seed import derive, generator
from hsa_bench.core.views import SeededViews, Transform

Batch = tuple[list[Tensor], Tensor, Tensor]
"""Views, each [B, 3, H, W]; labels [B]; indices into the image set [B]: what collating items gives."""


def ordered(images: ImageSet, transform: Transform, batch: int, workers: int = 0) -> DataLoader[Batch]:
    """Every image once, in data set order."""
    views = SeededViews(images, [transform], seed=0, epoch=0)
    return DataLoader(cast(Dataset[Batch], views), batch_size=batch, num_workers=workers)


def shuffled(
    images: ImageSet,
    transforms: Sequence[Transform],
    batch: int,
    seed: int,
    epoch: int,
    workers: int = 0,
    drop_last: bool = False,
) -> DataLoader[Batch]:
    """One epoch in an order that belongs to (seed, epoch)."""
    order = torch.randperm(len(images), generator=generator(seed, "order", epoch)).tolist()
    views = SeededViews(images, transforms, derive(seed, "views"), epoch)
    return DataLoader(
        cast(Dataset[Batch], views),
        batch_size=batch,
        sampler=order,
        num_workers=workers,
        drop_last=drop_last,
    )
