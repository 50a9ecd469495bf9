"""What CIFAR-10 and CIFAR-100 have in common: their python release, read through torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hsa_bench.core.data.datasets._torchvision import in_memory, opened
from hsa_bench.core.data.image_set import Classification


def load(name: str, reader: Any, root: Path) -> Classification:
    """Open `root/<name>` or `root`, whichever holds the extracted archive.

    Args:
        name: Of the data set.
        reader: torchvision's class.
        root: The data root.

    Raises:
        DataError: Missing or not intact.
    """
    base: str = reader.base_folder
    folder = next((f for f in (root / name, root) if (f / base).is_dir()), root)
    wanted = f"the folder {base}, of {reader.filename},"
    train, test = (opened(reader, folder, wanted, train=train) for train in (True, False))
    return Classification(
        name=name,
        train=in_memory(train.data, train.targets, train.classes),
        test=in_memory(test.data, test.targets, train.classes),
        image_size=32,
        resize=32,
    )
