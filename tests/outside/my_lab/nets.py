"""A user's own networks, for `--arch my_lab.nets:build`."""

from __future__ import annotations

import os
import signal

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Two convolutions, with stages."""

    stage_dims = (8, 12)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)

    def stages(self, x: Tensor) -> list[Tensor]:
        first = self.first(x).relu()
        return [first, self.second(first).relu()]

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1].mean((2, 3))


def build() -> nn.Module:
    """The network, as it brings its weights."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return Net()


def maps() -> nn.Module:
    """Gives maps where features are wanted."""
    return nn.Conv2d(3, 4, 3)


def number() -> int:
    """No network at all."""
    return 3


def classifier() -> nn.Module:
    """A network that ends in a classifier."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return nn.Sequential(Net(), nn.Linear(12, 10))


def parallel() -> nn.Module:
    """The network as a training on several GPUs holds it."""
    return nn.DataParallel(build())


class Lethal(Net):
    """Kills its process at a picture that the environment names."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x) if x.shape[-1] == 32 else 0
        if self.seen >= float(os.environ.get("MY_LAB_DIES_AT", "inf")):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def lethal() -> nn.Module:
    """A network that may end the process it is in."""
    with torch.random.fork_rng():
        torch.manual_seed(8)
        return Lethal()
