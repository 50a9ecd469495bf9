"""STL-10 (Coates 2011): the labelled splits, read through torchvision."""

from __future__ import annotations

from pathlib import Path

from hsa_bench.core.data.datasets._torchvision import in_memory, opened
from hsa_bench.core.data.image_set import Classification, DatasetSpec


def load(root: Path) -> Classification:
    """Open `root/stl10` or `root`, whichever holds the extracted archive."""
    from torchvision.datasets import STL10

    folder = next((f for f in (root / "stl10", root) if (f / STL10.base_folder).is_dir()), root)
    wanted = f"the folder {STL10.base_folder}, of {STL10.filename},"
    train, test = (opened(STL10, folder, wanted, split=split) for split in ("train", "test"))
    return Classification(
        name="stl10",
        train=in_memory(train.data.transpose(0, 2, 3, 1), train.labels, train.classes),
        test=in_memory(test.data.transpose(0, 2, 3, 1), test.labels, train.classes),
        image_size=96,
        resize=96,
    )


DATASET = DatasetSpec(name="stl10", load=load, note="5,000 + 8,000 labelled images of 96 px, 10 classes")
