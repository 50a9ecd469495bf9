"""A tiny learnable data set and trunk for the classification evaluators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hsa_bench.core.data.image_set import Classification, ImageSet
from hsa_bench.core.data.images import ArrayImages
from hsa_bench.core.models.backbone import Backbone, weights_hash
from hsa_bench.core.models.preprocess import Preprocess
from hsa_bench.core.results.result import Source
from hsa_bench.core.seed import forked

CLASSES = 3


class TinyTrunk(nn.Module):
    """One convolution with batch norm; remembers how many images passed through it."""

    dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, self.dim, 3, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(self.dim)
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return torch.relu(self.bn(self.conv(x))).mean((2, 3))


def images_of(count: int, seed: int) -> ImageSet:
    """One ground colour a class, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    grounds = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
    pixels = grounds[labels][:, None, None] + rng.normal(0, 30, (count, 16, 16, 3))
    return ImageSet(
        images=ArrayImages(pixels.clip(0, 255).astype(np.uint8)),
        labels=labels.astype(np.int64),
        classes=tuple("rgb"),
        examples=tuple(f"{seed}/{i}.png" for i in range(count)),
    )


@pytest.fixture
def colours() -> Classification:
    return Classification("colours", images_of(36, 0), images_of(18, 1), image_size=16, resize=16)


@pytest.fixture
def wrap() -> Callable[[nn.Module], Backbone]:
    def wrapped(module: nn.Module) -> Backbone:
        return Backbone(
            label="tiny",
            arch="tiny",
            module=module,
            dim=module.dim,  # type: ignore[arg-type]
            card=Preprocess(),
            weights=weights_hash(module),
            source=Source(path="random initialisation", format="control"),
        )

    return wrapped


@pytest.fixture
def tiny(wrap: Callable[[nn.Module], Backbone]) -> Backbone:
    with forked(0, "tiny"):
        return wrap(TinyTrunk().eval())
