"""CIFAR-100 (Krizhevsky 2009) in its python release, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data import Classification, DatasetSpec
from hsa_bench.core.datasets._torchvision import in_memory, opened


def load(root: Path) -> Classification:
    """Open `root/cifar100` or `root`, whichever holds the extracted archive."""
    from torchvision.datasets import CIFAR100

    folder = next((f for f in (root / "cifar100", root) if (f / CIFAR100.base_folder).is_dir()), root)
    train, test = (
        opened(CIFAR100, folder, f"the folder {CIFAR100.base_folder}", train=train) for train in (True, False)
    )
    return Classification(
        name="cifar100",
        train=in_memory(train.data, train.targets, train.classes),
        test=in_memory(test.data, test.targets, train.classes),
        image_size=32,
        resize=32,
    )


DATASET = DatasetSpec(name="cifar100", load=load, note="50,000 + 10,000 images of 32 px, 100 classes")
