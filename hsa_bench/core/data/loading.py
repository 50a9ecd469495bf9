"""Batches of views, in an order drawn per epoch, by as many worker processes as wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hsa_bench.core.context import Context
from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.views import SeededEpochs, SeededViews, Transform
from hsa_bench.core.processes import own_range
from hsa_bench.core.seed import derive, generator

Batch = tuple[list[Tensor], Tensor, Tensor]
"""Views, each uint8 [B, S, S, 3]; labels [B]; indices into the image set [B]: what collating items gives."""


def ordered(
    images: ImageSet, transform: Transform, batch: int, workers: int = 0, device: str = "cpu"
) -> DataLoader[Batch]:
    """Every image once, in data set order."""
    views = SeededViews(images, [transform], seed=0, epoch=0)
    return DataLoader(
        cast(Dataset[Batch], views), batch_size=batch, num_workers=workers, pin_memory=pinned(device)
    )


def pinned(device: str | torch.device) -> bool:
    """Tell whether batches for a device belong in page-locked memory, copied from there beside other work."""
    return torch.device(device).type == "cuda"


def order(count: int, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch visits `count` images; it belongs to (seed, epoch)."""
    return torch.randperm(count, generator=generator(seed, "order", epoch)).tolist()


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
    views = SeededViews(images, transforms, derive(seed, "views"), epoch)
    return DataLoader(
        cast(Dataset[Batch], views),
        batch_size=batch,
        sampler=order(len(images), seed, epoch),
        num_workers=workers,
        drop_last=drop_last,
    )


class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), epoch after epoch, each in its own order, of so many steps or of a range.

    Several processes get their own share of each batch (`processes.own_range`), or its first image where the
    batch has too few for all of them.
    """

    def __init__(self, count: int, batch: int, seed: int, steps: int | range, drop_last: bool) -> None:
        assert count >= batch or not drop_last, "an epoch shorter than a batch would have none"
        self.count = count
        self.batch = batch
        self.seed = seed
        self.steps = range(steps) if isinstance(steps, int) else steps
        self.drop_last = drop_last

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        whole = self.count - self.count % self.batch if self.drop_last else self.count
        starts = range(0, whole, self.batch)
        for step in self.steps:
            epoch, place = divmod(step, len(starts))
            if place == 0 or step == self.steps.start:
                visits = [(epoch, index) for index in order(self.count, self.seed, epoch)]
            batch = visits[starts[place] : starts[place] + self.batch]
            share = own_range(len(batch))
            yield batch[share.start : share.stop] or batch[:1]


def stream(
    images: ImageSet,
    transforms: Sequence[Transform],
    batch: int,
    seed: int,
    steps: int | range,
    ctx: Context,
    drop_last: bool = False,
) -> DataLoader[Batch]:
    """`steps` batches: those of `shuffled` for epoch 0, 1, …, from one loader whose workers start once.

    Or those of a range of steps, where another loader gives the rest.
    """
    views = SeededEpochs(images, transforms, derive(seed, "views"))
    return DataLoader(
        cast(Dataset[Batch], views),
        batch_sampler=EpochBatches(len(images), batch, seed, steps, drop_last),
        num_workers=ctx.workers,
        pin_memory=pinned(ctx.device),
    )
