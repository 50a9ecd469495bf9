"""Batches of views for pretraining: each picture's own, its neighbour's, and small crops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hsa_bench.core.data.image_set import ImageSet
from hsa_bench.core.data.loading import order
from hsa_bench.core.data.views import Transform, views_of
from hsa_bench.core.processes import rank, world
from hsa_bench.core.seed import derive, generator
from pretrain.positives import Neighbours

Item = tuple[list[Any], list[int]]
Carried = tuple[list[Any], list[Tensor]]
"""For each view, the collated output of its transform; and for each the indices of its pictures, [N]."""


@dataclass(frozen=True)
class ContrastiveViews(Dataset[Item]):
    """Item (epoch, i): two views of picture i, two of a neighbour drawn from its table, and small crops.

    With each view comes the index of the picture that it shows.

    What is drawn depends on (seed, epoch, i) alone, so neither loader processes nor resuming nor the number
    of processes change a pixel.
    """

    images: ImageSet
    transform: Transform
    neighbours: Neighbours | None
    crops: tuple[Transform, ...]
    seed: int

    def __getitem__(self, place: tuple[int, int]) -> Item:
        epoch, index = place
        seed, both = derive(self.seed, "views"), [self.transform] * 2
        own = views_of(self.images, [*both, *self.crops], seed, epoch, index)[0]
        if self.neighbours is None:
            return own, [index] * len(own)
        draw = generator(seed, "neighbour", epoch, index)
        theirs = self.neighbours[index]
        theirs = theirs[theirs >= 0]
        other = int(theirs[torch.randint(len(theirs), (), generator=draw)])
        its_seed = derive(seed, "views of the neighbour of", index)
        others = views_of(self.images, both, its_seed, epoch, other)[0]
        shown = [index, index, other, other, *[index] * len(self.crops)]
        return [*own[:2], *others, *own[2:]], shown


@dataclass(frozen=True)
class OwnParts(Sampler[list[tuple[int, int]]]):
    """What this process has to do with each batch: places (epoch, index), part after part.

    A batch is cut into `accumulate` consecutive parts, and each of these into one part for every process.
    """

    count: int
    """Pictures in the set; the last, incomplete batch of an epoch is dropped."""
    batch: int
    accumulate: int
    seed: int
    epochs: range

    def __len__(self) -> int:
        return self.count // self.batch * self.accumulate * len(self.epochs)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        part = self.batch // self.accumulate
        own = part // world()
        for epoch in self.epochs:
            visits = [(epoch, index) for index in order(self.count, self.seed, epoch)]
            for start in range(0, self.count // self.batch * self.batch, part):
                first = start + rank() * own
                yield visits[first : first + own]


def batches(views: ContrastiveViews, places: OwnParts, workers: int, pin: bool) -> DataLoader[Carried]:
    """Load batches of views, and which pictures they show, in processes that start once."""
    return DataLoader(
        cast(Dataset[Carried], views),
        batch_sampler=places,
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
    )
