"""CIFAR-10 (Krizhevsky 2009) in its python release, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets import _cifar
from hsa_bench.core.data.image_set import Classification, DatasetSpec


def load(root: Path) -> Classification:
    """Open `root/cifar10` or `root`, whichever holds the extracted archive."""
    from torchvision.datasets import CIFAR10

    return _cifar.load("cifar10", CIFAR10, root)


DATASET = DatasetSpec(name="cifar10", load=load, note="50,000 + 10,000 images of 32 px, 10 classes")
