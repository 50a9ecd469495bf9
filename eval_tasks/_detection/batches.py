"""Which images make up each iteration: shuffled epochs, images of one orientation together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.utils.data import Sampler

from hsa_bench.core.processes import own_range, world
from hsa_bench.core.seed import generator

Draw = tuple[int, int]
"""Epoch and index of an image."""


@dataclass(frozen=True)
class Batches(Sampler[list[Draw]]):
    """This process's share of every iteration's batch, the same whoever computes it and whenever.

    As in Detectron2, images wait for one of their own orientation, so that little is padded.
    """

    rows: Sequence[int]
    """Images to draw from."""
    wide: Sequence[bool]
    """Whether each of `rows` is wider than high."""
    batch: int
    """Images an iteration, of all processes."""
    alike: int
    """Images in a row of one orientation."""
    iterations: int
    seed: int
    start: int = 0
    """Iterations to leave out, as they are done."""

    def __post_init__(self) -> None:
        if self.batch % world():
            raise ValueError(f"a batch of {self.batch} images cannot be shared by {world()} processes")

    def __len__(self) -> int:
        return self.iterations - self.start

    def __iter__(self) -> Iterator[list[Draw]]:
        groups = self._groups()
        size = self._group
        for i in range(self.iterations):
            batch = [draw for _ in range(self.batch // size) for draw in next(groups)]
            if i >= self.start:
                yield [batch[place] for place in own_range(self.batch)]

    @property
    def _group(self) -> int:
        return math.gcd(self.alike, self.batch)

    def _groups(self) -> Iterator[list[Draw]]:
        waiting: dict[bool, list[Draw]] = {False: [], True: []}
        epoch = 0
        while True:
            for place in torch.randperm(
                len(self.rows), generator=generator(self.seed, "order", epoch)
            ).tolist():
                queue = waiting[self.wide[place]]
                queue.append((epoch, self.rows[place]))
                if len(queue) == self._group:
                    yield queue.copy()
                    queue.clear()
            epoch += 1
