"""CIFAR-100 (Krizhevsky 2009) in its python release, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets import _cifar
from hsa_bench.core.data.image_set import Classification, DatasetSpec


def load(root: Path) -> Classification:
    """Open `root/cifar100` or `root`, whichever holds the extracted archive."""
    from torchvision.datasets import CIFAR100

    return _cifar.load("cifar100", CIFAR100, root)


DATASET = DatasetSpec(name="cifar100", load=load, note="50,000 + 10,000 images of 32 px, 100 classes")
