"""A fixed part of CIFAR-10's training pictures, for ablations on a CPU, and others to tune on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsa_bench.core.data.datasets import _imagefolder, cifar10
from hsa_bench.core.data.datasets._torchvision import in_memory
from hsa_bench.core.data.image_set import Classification, ImageSet, balanced
from hsa_bench.core.errors import DataError

TRAIN, HELD_OUT = 10_000, 5_000


def opened(root: Path) -> Classification:
    """CIFAR-10 from its python release, else from `root/cifar10/train` and `test`, a folder a class."""
    folder = root / "cifar10"
    try:
        return cifar10.load(root)
    except DataError:
        if (folder / "train").is_dir():
            return _imagefolder.load(folder, "cifar10")
        raise


def part(name: str, root: Path, tuning: bool) -> Classification:
    """The same 10,000 training pictures, class-balanced; tested on all of test, or on 5,000 others of train.

    Args:
        name: Of the data set.
        root: The data root.
        tuning: Whether test is left alone.

    Raises:
        DataError: CIFAR-10 is missing or not intact.
    """
    whole = opened(root)
    labels = whole.train.labels
    used = balanced(labels, TRAIN, seed=0)
    rest = sorted(set(balanced(labels, TRAIN + HELD_OUT, seed=0)) - set(used))
    test = whole.train.subset(rest) if tuning else whole.test
    return Classification(name, _held(whole.train.subset(used)), _held(test), image_size=32, resize=32)


def _held(images: ImageSet) -> ImageSet:
    """The pictures in memory, decoded once, under their names."""
    pixels = np.stack([np.asarray(images.picture(i)) for i in range(len(images))])
    kept = in_memory(pixels, images.labels, images.classes)
    return ImageSet(kept.images, kept.labels, kept.classes, images.examples)
